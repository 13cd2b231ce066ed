//! Descriptions for the PBX, line by line.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::super::whatsapp::OPUS_FMTP;
use super::codec::Codec;
use super::{Layout, Media, Origin, Stream};

/// Our answer: the stream at `chosen` is taken, the others are refused in their places.
pub(super) fn answer(
    streams: &[Stream],
    chosen: usize,
    local: SocketAddr,
    origin: Origin,
    media: &Media,
) -> String {
    description(streams, chosen, local, origin, |sdp, stream| {
        let mut numbers = vec![media.payload_type];
        numbers.extend(media.dtmf.map(|(number, _)| number));
        audio_line(sdp, local, stream, &numbers);
        codec(sdp, media.codec, media.payload_type);
        if let Some((number, clock)) = media.dtmf {
            events(sdp, number, clock);
        }
        line(sdp, format_args!("a=ptime:20"));
        line(sdp, format_args!("a={}", media.direction.attribute()));
    })
}

/// Our offer: the codecs in their order and telephone-event, both ways; what was refused before
/// stays refused in its place (RFC 3264 8).
pub(super) fn offer(local: SocketAddr, origin: Origin, codecs: &[Codec], layout: &Layout) -> String {
    let numbers = layout.numbers;
    // RFC 4733 2.1: events share the clock of the audio; 8000 is what PBXs know.
    let clocks: &[u32] = match codecs {
        [Codec::Opus, ..] => &[48_000, 8000],
        _ if codecs.contains(&Codec::Opus) => &[8000, 48_000],
        _ => &[8000],
    };
    description(&layout.streams, layout.chosen, local, origin, |sdp, stream| {
        let mut listed: Vec<u8> = codecs.iter().map(|codec| numbers.of(*codec)).collect();
        listed.extend(clocks.iter().map(|clock| numbers.events(*clock)));
        audio_line(sdp, local, stream, &listed);
        for each in codecs {
            codec(sdp, *each, numbers.of(*each));
        }
        for clock in clocks {
            events(sdp, numbers.events(*clock), *clock);
        }
        line(sdp, format_args!("a=ptime:20"));
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

fn line(sdp: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = sdp.write_fmt(text);
    sdp.push_str("\r\n");
}
