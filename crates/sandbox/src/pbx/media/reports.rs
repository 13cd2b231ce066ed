//! The reports of a call (RTCP, RFC 3550 6): on the port above that of the sound, or on the same where both ends say
//! rtcp-mux (RFC 5761).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::Line;
use crate::pbx::PhoneCall;
use crate::pbx::rtp::is_rtcp;
use crate::rtcp::{Reports, ntp};

/// Pairs of ports that are tried: every second one begins with an odd port.
const PAIRS: usize = 64;
/// The bridge's BYE comes beside the end of the dialog, before or after it.
const LINGER: Duration = Duration::from_millis(500);

impl PhoneCall {
    /// What has come and gone by RTCP.
    #[must_use]
    pub fn reports(&self) -> Reports {
        self.0.media.ear().borrow().reports.clone()
    }
}

/// An even port for RTP, and the odd one above it for RTCP (RFC 3550 11).
pub(super) async fn ports(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..PAIRS {
        let rtp = UdpSocket::bind((ip, 0)).await?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((ip, port + 1)).await
        {
            return Ok((rtp, rtcp));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

impl Line {
    /// Sends the report that is due.
    pub(super) async fn report(&mut self, now: Instant) {
        let Some(talking) = self.talking.as_mut().filter(|_| !self.dead) else { return };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Some(plain) = talking.reporter.report(now, ntp(wall)) else { return };
        let packet = match &mut talking.secure {
            Some(secure) => secure.protect_rtcp(&plain),
            None => Ok(plain),
        };
        let to = talking.remote.rtcp;
        let socket = if to == talking.remote.address { &self.socket } else { &self.rtcp };
        match packet {
            // A port nobody listens on yet answers with ICMP; the next report comes soon.
            Ok(packet) => drop(socket.send_to(&packet, to).await),
            Err(complaint) => self.complaints.add(complaint),
        }
        self.publish();
    }

    /// A datagram that is RTCP, on the one port or the other.
    pub(super) fn hear_report(&mut self, bytes: &[u8], from: SocketAddr, at: Instant) {
        // As sound, it may overtake the 200.
        let Some(talking) = &mut self.talking else { return };
        let heard = if from == talking.remote.rtcp {
            let plain = match &mut talking.secure {
                Some(secure) => secure.open_rtcp(bytes),
                None => Ok(bytes.to_vec()),
            };
            plain.and_then(|plain| talking.reporter.take(at, &plain))
        } else {
            Err(format!("RTCP from {from}, the SDP says {}", talking.remote.rtcp))
        };
        heard.unwrap_or_else(|complaint| self.complaints.add(complaint));
        self.publish();
    }

    fn publish(&self) {
        let Some(talking) = &self.talking else { return };
        self.ear.send_if_modified(|ear| {
            talking.reporter.reports().clone_into(&mut ear.reports);
            false
        });
    }

    /// The call is over: a last report is still taken.
    pub(super) async fn linger(&mut self) {
        let _ = timeout(LINGER, self.last_reports()).await;
    }

    async fn last_reports(&mut self) {
        let (mut buffer, mut report) = ([0_u8; 2048], [0_u8; 2048]);
        while self.talking.as_ref().is_some_and(|talking| !talking.reporter.reports().goodbye) {
            tokio::select! {
                Ok((length, from)) = self.socket.recv_from(&mut buffer) => {
                    let bytes = &buffer[..length];
                    if is_rtcp(bytes) {
                        self.hear_report(bytes, from, Instant::now());
                    }
                }
                Ok((length, from)) = self.rtcp.recv_from(&mut report) => {
                    self.hear_report(&report[..length], from, Instant::now());
                }
                else => return,
            }
        }
    }
}
