//! rtpengine's control protocol: bencoded dictionaries over UDP, each behind a cookie that the answer repeats.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// rtpengine answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// A bencoded value, as far as ng uses them.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    List(Vec<Self>),
    Dictionary(BTreeMap<String, Self>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    /// A list of words.
    pub(crate) fn words(words: &[&str]) -> Self {
        Self::List(words.iter().map(|word| Self::from(*word)).collect())
    }

    /// A dictionary of these entries.
    pub(crate) fn dictionary(entries: &[(&str, Self)]) -> Self {
        Self::Dictionary(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => encode_text(text, out),
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.encode(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode_text(key, out);
                    value.encode(out);
                }
                out.push(b'e');
            }
        }
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        let first = *input.first().context("bencode ends early")?;
        match first {
            b'd' => {
                *input = &input[1..];
                let mut entries = BTreeMap::new();
                while !ended(input)? {
                    let key = decode_text(input)?;
                    entries.insert(key, Self::decode(input)?);
                }
                Ok(Self::Dictionary(entries))
            }
            b'l' => {
                *input = &input[1..];
                let mut items = Vec::new();
                while !ended(input)? {
                    items.push(Self::decode(input)?);
                }
                Ok(Self::List(items))
            }
            b'i' => {
                let end = input.iter().position(|octet| *octet == b'e').context("bencode ends early")?;
                let number = String::from_utf8_lossy(&input[1..end]).into_owned();
                *input = &input[end + 1..];
                Ok(Self::Text(number))
            }
            _ => decode_text(input).map(Self::Text),
        }
    }
}

fn ended(input: &mut &[u8]) -> Result<bool> {
    let end = *input.first().context("bencode ends early")? == b'e';
    if end {
        *input = &input[1..];
    }
    Ok(end)
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.extend(format!("{}:", text.len()).bytes());
    out.extend(text.bytes());
}

fn decode_text(input: &mut &[u8]) -> Result<String> {
    let colon = input.iter().position(|octet| *octet == b':').context("bencode without a length")?;
    let len: usize = std::str::from_utf8(&input[..colon])?.parse()?;
    let text = input.get(colon + 1..colon + 1 + len).context("bencode ends early")?;
    *input = &input[colon + 1 + len..];
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// A client of one rtpengine.
pub(crate) struct Client {
    socket: UdpSocket,
    cookie: u64,
}

impl Client {
    pub(crate) fn new(engine: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(engine)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, cookie: 0 })
    }

    /// Sends a command; the answer, unless it is an error.
    pub(crate) fn ask(&mut self, command: &[(&str, Value)]) -> Result<BTreeMap<String, Value>> {
        self.cookie += 1;
        let cookie = format!("{} ", self.cookie);
        let mut request = cookie.clone().into_bytes();
        Value::dictionary(command).encode(&mut request);
        self.socket.send(&request)?;
        let mut buffer = [0; 8192];
        loop {
            let len = self.socket.recv(&mut buffer).context("rtpengine does not answer")?;
            let Some(mut answer) = buffer[..len].strip_prefix(cookie.as_bytes()) else { continue };
            let Value::Dictionary(answer) = Value::decode(&mut answer)? else {
                bail!("rtpengine's answer is no dictionary");
            };
            let result = text(&answer, "result").unwrap_or_default();
            ensure!(matches!(result, "ok" | "pong"), "rtpengine refuses: {answer:?}");
            return Ok(answer);
        }
    }
}

/// A text in an answer.
pub(crate) fn text<'a>(answer: &'a BTreeMap<String, Value>, key: &str) -> Option<&'a str> {
    match answer.get(key)? {
        Value::Text(text) => Some(text),
        Value::List(_) | Value::Dictionary(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let value = Value::dictionary(&[
            ("command", "offer".into()),
            ("flags", Value::words(&["trust-address"])),
            ("codec", Value::dictionary(&[("mask", Value::words(&["PCMU"]))])),
        ]);
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert_eq!(bytes, b"d5:codecd4:maskl4:PCMUee7:command5:offer5:flagsl13:trust-addressee");
        let read = Value::decode(&mut &bytes[..]).expect("bencode");
        assert_eq!(format!("{read:?}"), format!("{value:?}"));
        assert!(Value::decode(&mut &b"d4:list"[..]).is_err());
    }
}
