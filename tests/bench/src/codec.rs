//! What libopus asks for a frame of 20 ms, by rate and complexity: what the default complexity was chosen by.

use std::time::{Duration, Instant};

use anyhow::Result;
use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal};

use crate::sound::{PACKETS, speech};

/// Ten seconds of speech, so often; the fastest counts.
const ROUNDS: usize = 5;

/// Prints the table.
pub(crate) fn print() -> Result<()> {
    println!("| Opus at | complexity | encode us | decode us | octets |\n|---|---|---|---|---|");
    for rate in [8000, 16_000] {
        let sound = speech(rate);
        for complexity in 0..=10 {
            let (mut encoding, mut decoding, mut octets) = (Duration::MAX, Duration::MAX, 0);
            for _ in 0..ROUNDS {
                let (encoded, decoded, len) = round(&sound, rate, complexity)?;
                (encoding, decoding, octets) = (encoding.min(encoded), decoding.min(decoded), len);
            }
            let frame = |time: Duration| time.as_secs_f64() * 1e6 / PACKETS as f64;
            println!(
                "| {rate} | {complexity} | {:.1} | {:.1} | {} |",
                frame(encoding),
                frame(decoding),
                octets / PACKETS
            );
        }
    }
    Ok(())
}

/// As the relay encodes towards WhatsApp.
fn round(sound: &[i16], rate: usize, complexity: i32) -> Result<(Duration, Duration, usize)> {
    let mut encoder = Encoder::new(rate as u32, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(20_000))?;
    encoder.set_signal(Signal::Voice)?;
    encoder.set_complexity(complexity)?;
    let mut decoder = Decoder::new(rate as u32, Channels::Mono)?;
    let start = Instant::now();
    let payloads = sound
        .chunks_exact(rate / 50)
        .map(|frame| encoder.encode_vec(frame, 400))
        .collect::<Result<Vec<_>, _>>()?;
    let encoded = start.elapsed();
    let mut samples = vec![0; rate / 50];
    let start = Instant::now();
    for payload in &payloads {
        decoder.decode(payload, &mut samples, false)?;
    }
    Ok((encoded, start.elapsed(), payloads.iter().map(Vec::len).sum()))
}
