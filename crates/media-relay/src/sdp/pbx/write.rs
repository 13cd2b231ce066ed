//! Descriptions for the PBX, line by line.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::super::crypto::Crypto;
use super::super::whatsapp::OPUS_FMTP;
use super::codec::{Codec, LONGEST_PACKET_MS};
use super::{COMFORT_NOISE, Layout, Media, Origin, Ours, Stream};

/// Our answer: the stream at `chosen` is taken, the others are refused in their places.
pub(super) fn answer(
    streams: &[Stream],
    chosen: usize,
    local: SocketAddr,
    origin: Origin,
    media: &Media,
    crypto: Option<Crypto>,
) -> String {
    description(streams, chosen, local, origin, |sdp, stream| {
        let mut numbers = vec![media.payload_type];
        numbers.extend(media.comfort_noise.then_some(COMFORT_NOISE));
        numbers.extend(media.dtmf.map(|(number, _)| number));
        audio_line(sdp, local, stream, &numbers);
        codec(sdp, media.codec, media.payload_type);
        comfort_noise(sdp, media.comfort_noise);
        if let Some((number, clock)) = media.dtmf {
            events(sdp, number, clock);
        }
        keys(sdp, crypto.as_slice());
        packet_time(sdp, media.ptime_ms);
        // RFC 5761 5.1.1: a port shared by both is what the offer said, or there are two.
        if media.rtcp_mux {
            line(sdp, format_args!("a=rtcp-mux"));
        } else {
            rtcp(sdp, local);
        }
        line(sdp, format_args!("a={}", media.direction.attribute()));
    })
}

/// Our offer: the codecs in their order and telephone-event, both ways; what was refused before
/// stays refused in its place (RFC 3264 8).
pub(super) fn offer(origin: Origin, ours: Ours<'_>, layout: &Layout) -> String {
    let (numbers, Ours { local, codecs, protection }) = (layout.numbers, ours);
    let has_noise = layout.comfort_noise && codecs.iter().any(|codec| codec.clock() == 8000);
    // RFC 4733 2.1: events share the clock of the audio; 8000 is what PBXs know.
    let clocks: &[u32] = match codecs {
        [Codec::Opus, ..] => &[48_000, 8000],
        _ if codecs.contains(&Codec::Opus) => &[8000, 48_000],
        _ => &[8000],
    };
    description(&layout.streams, layout.chosen, local, origin, |sdp, stream| {
        let mut listed: Vec<u8> = codecs.iter().map(|codec| numbers.of(*codec)).collect();
        listed.extend(has_noise.then_some(COMFORT_NOISE));
        listed.extend(clocks.iter().map(|clock| numbers.events(*clock)));
        audio_line(sdp, local, stream, &listed);
        for each in codecs {
            codec(sdp, *each, numbers.of(*each));
        }
        comfort_noise(sdp, has_noise);
        for clock in clocks {
            events(sdp, numbers.events(*clock), *clock);
        }
        keys(sdp, &protection.offered());
        packet_time(sdp, 20);
        // The second port is for a PBX that does not take the first for both (RFC 5761 5.1.3).
        rtcp(sdp, local);
        line(sdp, format_args!("a=rtcp-mux"));
        line(sdp, format_args!("a=sendrecv"));
    })
}

fn description(
    streams: &[Stream],
    chosen: usize,
    local: SocketAddr,
    origin: Origin,
    write_chosen: impl Fn(&mut String, &Stream),
) -> String {
    let mut sdp = header(local, origin);
    for (index, stream) in streams.iter().enumerate() {
        if index == chosen {
            write_chosen(&mut sdp, stream);
        } else {
            let Stream { media, proto, fmt, .. } = stream;
            line(&mut sdp, format_args!("m={media} 0 {proto} {fmt}"));
        }
        if let Some(mid) = &stream.mid {
            line(&mut sdp, format_args!("a=mid:{mid}"));
        }
    }
    sdp
}

fn header(local: SocketAddr, origin: Origin) -> String {
    let Origin { session_id, version } = origin;
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let ip = local.ip();
    let mut sdp = String::with_capacity(512);
    line(&mut sdp, format_args!("v=0"));
    line(&mut sdp, format_args!("o=- {session_id} {version} IN {family} {ip}"));
    line(&mut sdp, format_args!("s=-"));
    line(&mut sdp, format_args!("c=IN {family} {ip}"));
    line(&mut sdp, format_args!("t=0 0"));
    sdp
}

fn audio_line(sdp: &mut String, local: SocketAddr, stream: &Stream, numbers: &[u8]) {
    let mut listed = String::new();
    for number in numbers {
        let _ = write!(listed, " {number}");
    }
    line(sdp, format_args!("m=audio {} {}{listed}", local.port(), stream.proto));
}

fn codec(sdp: &mut String, codec: Codec, payload_type: u8) {
    line(sdp, format_args!("a=rtpmap:{payload_type} {}", codec.rtpmap()));
    // What the PBX encodes reaches WhatsApp untouched, so it is asked for what WhatsApp asks for.
    if codec == Codec::Opus {
        line(sdp, format_args!("a=fmtp:{payload_type} {OPUS_FMTP}"));
    }
}

fn events(sdp: &mut String, payload_type: u8, clock: u32) {
    line(sdp, format_args!("a=rtpmap:{payload_type} telephone-event/{clock}"));
    line(sdp, format_args!("a=fmtp:{payload_type} 0-15"));
}

fn comfort_noise(sdp: &mut String, is_there: bool) {
    if is_there {
        line(sdp, format_args!("a=rtpmap:{COMFORT_NOISE} CN/8000"));
    }
}

fn keys(sdp: &mut String, lines: &[Crypto]) {
    for crypto in lines {
        sdp.push_str("a=crypto:");
        crypto.write(sdp);
        sdp.push_str("\r\n");
    }
}

fn packet_time(sdp: &mut String, milliseconds: u32) {
    line(sdp, format_args!("a=ptime:{milliseconds}"));
    line(sdp, format_args!("a=maxptime:{LONGEST_PACKET_MS}"));
}

/// Where we receive RTCP (RFC 3605): our ports for RTP are even.
fn rtcp(sdp: &mut String, local: SocketAddr) {
    line(sdp, format_args!("a=rtcp:{}", local.port().saturating_add(1)));
}

fn line(sdp: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = sdp.write_fmt(text);
    sdp.push_str("\r\n");
}
