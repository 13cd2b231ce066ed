//! A stranger who fires at the bridge's media ports all the time.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Shots at once, and how often.
const VOLLEY: u32 = 10;
const EVERY: Duration = Duration::from_millis(10);

/// Fires until it is dropped.
pub(crate) struct Noise {
    fired: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Noise {
    /// Shots so far.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Fires at these ports of an address.
pub(crate) fn start((ip, ports): (IpAddr, Vec<RangeInclusive<u16>>)) -> Result<Noise> {
    let bind = || -> Result<UdpSocket> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        Ok(UdpSocket::from_std(socket)?)
    };
    let strangers = [bind()?, bind()?];
    let fired = Arc::<AtomicU64>::default();
    let count = Arc::clone(&fired);
    let task = tokio::spawn(async move {
        let (mut dice, mut pace) = (Dice(7), tokio::time::interval(EVERY));
        loop {
            pace.tick().await;
            for _ in 0..VOLLEY {
                let range = &ports[dice.below(ports.len() as u32) as usize];
                let port = range.start() + dice.below((range.end() - range.start()).into()) as u16;
                let socket = &strangers[dice.below(2) as usize];
                // A port that nobody has answers with ICMP, which the next shot would hear of.
                let _ = socket.send_to(&shot(&mut dice), SocketAddr::new(ip, port)).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok(Noise { fired, task })
}

/// Something that is none of the call's.
fn shot(dice: &mut Dice) -> Vec<u8> {
    let word = |dice: &mut Dice| dice.next().to_be_bytes();
    match dice.below(10) {
        0 => Vec::new(),
        1 => vec![0x80; dice.below(12) as usize],
        2 => (0..dice.below(1500)).map(|_| dice.next() as u8).collect(),
        // RTP of another source, in each payload type.
        3 => [vec![0x80, dice.below(128) as u8], dice.next().to_be_bytes().repeat(2), vec![9; 162]].concat(),
        // The same again and again.
        4 => [&[0x80, 111, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4][..], &[0x48; 40]].concat(),
        // RTCP: a report and a BYE for whoever it may be.
        5 => [&[0x80, 201, 0, 1][..], &word(dice), &[0x81, 203, 0, 1], &word(dice)].concat(),
        // STUN: a Binding request with the integrity of one who does not know the password.
        6 => {
            let id = [word(dice), word(dice), word(dice)].concat();
            let attributes = [&[0, 6, 0, 4, b'a', b':', b'b', 0, 0, 8, 0, 20][..], &[0x5a; 20]].concat();
            [&[0, 1, 0, attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42][..], &id, &attributes].concat()
        }
        // A ClientHello, and an alert.
        7 => [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 1, 0, 0, 13][..], &[0; 21]].concat(),
        8 => vec![21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40],
        // A key event as long as a packet can be, and longer than any buffer.
        _ => {
            let length = [1400, 4000, 9000][dice.below(3) as usize];
            [&[0x80, 101, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0x8a][..], &vec![0xff; length]].concat()
        }
    }
}

/// The same numbers each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// 0 up to below the limit; 0 where there is none.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit.max(1)
    }
}
