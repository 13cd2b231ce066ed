mod golden;

use proptest::prelude::*;

use super::*;

const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

fn ours() -> SocketAddr {
    "192.0.2.10:40000".parse().expect("address")
}

/// An Asterisk-like offer around the given lines.
fn sdp(lines: &str) -> String {
    let head = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=Asterisk\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n";
    format!("{head}{}", lines.replace('\n', "\r\n"))
}

fn agreed(lines: &str, preference: &[Codec]) -> Media {
    let offer = parse_offer(sdp(lines).as_bytes()).expect("usable");
    answer(&offer, ours(), Origin::first(7), preference).expect("agreed").1
}

#[test]
fn an_answer_byte_for_byte_with_what_is_refused_in_its_place() {
    let offer = sdp("\
m=video 5000 RTP/AVP 96 97
a=rtpmap:96 H264/90000
m=audio 4000 RTP/AVP 8 0 107 101
a=rtpmap:107 opus/48000/2
a=rtpmap:101 telephone-event/8000
a=ptime:20
a=mid:one
m=image 5002 udptl t38
m=audio 5004 RTP/AVP 0
");
    let offer = parse_offer(offer.as_bytes()).expect("usable");
    let (answer, media) =
        answer(&offer, ours(), Origin::first(7), &[Codec::Pcma, Codec::Opus]).expect("agreed");
    let expected = "\
v=0
o=- 7 1 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=video 0 RTP/AVP 96 97
m=audio 40000 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=maxptime:60
a=rtcp:40001
a=sendrecv
a=mid:one
m=image 0 udptl t38
m=audio 0 RTP/AVP 0
";
    assert_eq!(answer, expected.replace('\n', "\r\n"));
    assert_eq!(
        media,
        Media {
            remote: "10.0.0.1:4000".parse().expect("address"),
            rtcp: None,
            codec: Codec::Pcma,
            payload_type: 8,
            dtmf: Some((101, 8000)),
            offered_as: OfferedAs::default(),
            ptime_ms: 20,
            direction: Direction::SendRecv,
            secure: None,
            rtcp_mux: false,
            comfort_noise: false,
        }
    );
}

#[test]
fn our_offer_byte_for_byte() {
    let expected = "\
v=0
o=- 7 1 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 40000 RTP/AVP 107 0 102 101
a=rtpmap:107 opus/48000/2
a=fmtp:107 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:102 telephone-event/48000
a=fmtp:102 0-15
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=maxptime:60
a=rtcp:40001
a=rtcp-mux
a=sendrecv
";
    let sdp = offer(ours(), Origin::first(7), &[Codec::Opus, Codec::Pcmu]);
    assert_eq!(sdp, expected.replace('\n', "\r\n"));
    let sdp = offer("[2001:db8::9]:40000".parse().expect("address"), Origin::first(7), &[Codec::Pcma]);
    assert!(sdp.contains("o=- 7 1 IN IP6 2001:db8::9\r\n"));
    assert!(sdp.contains("m=audio 40000 RTP/AVP 8 101\r\n"));
}

#[test]
fn our_preference_decides() {
    let lines =
        "m=audio 4000 RTP/AVP 8 0 96 101\na=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000\n";
    for (preference, expected) in [
        (&ALL[..], (Codec::Opus, 96)),
        (&[Codec::Pcmu, Codec::Pcma], (Codec::Pcmu, 0)),
        (&[Codec::Pcma, Codec::Pcmu], (Codec::Pcma, 8)),
    ] {
        let media = agreed(lines, preference);
        assert_eq!((media.codec, media.payload_type), expected);
    }
}

#[test]
fn events_take_the_clock_of_the_audio_when_it_is_offered() {
    let both = "m=audio 4000 RTP/AVP 0 96 100 101\na=rtpmap:96 opus/48000/2\n\
        a=rtpmap:100 telephone-event/8000\na=rtpmap:101 telephone-event/48000\n";
    assert_eq!(agreed(both, &[Codec::Opus]).dtmf, Some((101, 48_000)));
    assert_eq!(agreed(both, &[Codec::Pcmu]).dtmf, Some((100, 8000)));
    let only_8000 =
        "m=audio 4000 RTP/AVP 96 100\na=rtpmap:96 opus/48000/2\na=rtpmap:100 telephone-event/8000\n";
    assert_eq!(agreed(only_8000, &ALL).dtmf, Some((100, 8000)));
    let only_48000 = "m=audio 4000 RTP/AVP 0 100\na=rtpmap:100 telephone-event/48000\n";
    assert_eq!(agreed(only_48000, &ALL).dtmf, None);
    assert_eq!(agreed("m=audio 4000 RTP/AVP 0\n", &ALL).dtmf, None);
}

#[test]
fn hold_in_all_its_spellings() {
    let cases = [
        ("a=sendrecv", Direction::SendRecv),
        ("a=sendonly", Direction::RecvOnly),
        ("a=recvonly", Direction::SendOnly),
        ("a=inactive", Direction::Inactive),
        ("c=IN IP4 0.0.0.0", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\na=inactive", Direction::Inactive),
        ("c=IN IP6 ::", Direction::RecvOnly),
    ];
    for (line, direction) in cases {
        let media = agreed(&format!("m=audio 4000 RTP/AVP 0\n{line}\n"), &ALL);
        assert_eq!(media.direction, direction, "{line}");
    }
    let session = sdp("a=sendonly\nm=audio 4000 RTP/AVP 0\n");
    let offer = parse_offer(session.as_bytes()).expect("usable");
    let (answer, _) = answer(&offer, ours(), Origin::first(7), &ALL).expect("agreed");
    assert!(answer.ends_with("a=recvonly\r\n"));
}

#[test]
fn addresses_profiles_and_packet_times() {
    let media = agreed("m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::1\na=ptime:30\n", &ALL);
    assert_eq!(media.remote, "[2001:db8::1]:4000".parse().expect("address"));
    assert_eq!(media.ptime_ms, 30);
    for (ptime, expected) in [("x", 20), ("0", 20), ("9999", 20), ("20.0", 20), ("60", 60)] {
        let media = agreed(&format!("m=audio 4000 RTP/AVP 0\na=ptime:{ptime}\n"), &ALL);
        assert_eq!(media.ptime_ms, expected);
    }
    let avpf = sdp("m=audio 4000 RTP/AVPF 0\n");
    let offer = parse_offer(avpf.as_bytes()).expect("usable");
    let (answer, _) = answer(&offer, ours(), Origin::first(7), &ALL).expect("agreed");
    assert!(answer.contains("m=audio 40000 RTP/AVPF 0\r\n"));
}

#[test]
fn a_secure_stream_is_passed_over_for_the_plain_one() {
    let both = sdp("m=audio 4000 RTP/SAVP 0\nm=audio 4002 RTP/AVP 0\n");
    let offer = parse_offer(both.as_bytes()).expect("usable");
    let (answer, media) = answer(&offer, ours(), Origin::first(7), &ALL).expect("agreed");
    assert_eq!(media.remote.port(), 4002);
    assert!(answer.contains("m=audio 0 RTP/SAVP 0\r\nm=audio 40000 RTP/AVP 0\r\n"));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let cases = [
        ("", SdpError::NoUsableMedia),
        ("m=audio 0 RTP/AVP 0\n", SdpError::NoUsableMedia),
        ("m=audio 4000 UDP/TLS/RTP/SAVP 0\n", SdpError::DtlsOnly),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0\n", SdpError::DtlsOnly),
        ("m=audio 4000 TCP/TLS/RTP/SAVPF 0\n", SdpError::DtlsOnly),
        ("m=video 4000 RTP/SAVP 96\n", SdpError::NoUsableMedia),
        ("m=video 4000 RTP/AVP 96\n", SdpError::NoUsableMedia),
        ("m=image 4000 udptl t38\n", SdpError::NoUsableMedia),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 pbx.example.com\n", SdpError::NoAddress),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127\n", SdpError::NoAddress),
    ];
    for (lines, error) in cases {
        assert_eq!(parse_offer(sdp(lines).as_bytes()), Err(error.clone()), "{lines}");
        assert_eq!(parse_answer(sdp(lines).as_bytes(), &ALL), Err(error), "{lines}");
    }
    let g729 = sdp("m=audio 4000 RTP/AVP 18 101\na=rtpmap:101 telephone-event/8000\n");
    let offer = parse_offer(g729.as_bytes()).expect("readable");
    assert_eq!(answer(&offer, ours(), Origin::first(7), &ALL), Err(SdpError::NoCommonCodec));
    assert_eq!(parse_answer(g729.as_bytes(), &ALL), Err(SdpError::NoCommonCodec));
}

#[test]
fn the_refusal_of_a_secure_stream_says_what_to_do() {
    let text = SdpError::SecureOnly.to_string();
    assert!(text.contains("RTP/SAVP") && text.contains("offer plain RTP"), "{text}");
    for proto in ["RTP/SAVP", "RTP/SAVPF", "rtp/savp"] {
        let lines = sdp(&format!("m=audio 4000 {proto} 0\n"));
        let offer = parse_offer(lines.as_bytes()).expect("readable");
        assert_eq!(answer(&offer, ours(), Origin::first(7), &ALL), Err(SdpError::SecureOnly));
        assert_eq!(parse_answer(lines.as_bytes(), &ALL), Err(SdpError::SecureOnly));
    }
}

/// RFC 3605, and RFC 5761's flag: a port for both where it was offered, else the one above.
#[test]
fn the_address_of_rtcp_is_read_where_it_is_said() {
    let there = |text: &str| Some(text.parse::<SocketAddr>().expect("address"));
    for (line, rtcp) in [
        ("a=ptime:20", None),
        ("a=rtcp:4009", there("10.0.0.1:4009")),
        ("a=rtcp:4009 IN IP4 10.0.0.7", there("10.0.0.7:4009")),
        ("a=rtcp:4009 IN IP6 2001:db8::7", there("[2001:db8::7]:4009")),
        ("a=rtcp:4009 IN IP4 pbx.example.com", there("10.0.0.1:4009")),
        ("a=rtcp:4009 IN IP4 224.0.0.7", there("10.0.0.1:4009")),
        ("a=rtcp:4009 IN IP4 0.0.0.0", None),
        ("a=rtcp:0", None),
        ("a=rtcp:x", None),
        ("a=rtcp:70000", None),
        ("a=rtcp", None),
        ("a=rtcp-mux", None),
        ("a=rtcp-mux\na=rtcp:4000", there("10.0.0.1:4000")),
        ("c=IN IP4 0.0.0.0\na=rtcp:4009", None),
    ] {
        let lines = format!("m=audio 4000 RTP/AVP 0\n{line}\n");
        assert_eq!(agreed(&lines, &ALL).rtcp, rtcp, "{line}");
        let offer = parse_offer(sdp(&lines).as_bytes()).expect("usable");
        let (answer, _) = answer(&offer, ours(), Origin::first(7), &ALL).expect("agreed");
        let is_muxed = line.contains("rtcp-mux");
        assert_eq!(agreed(&lines, &ALL).rtcp_mux, is_muxed, "{line}");
        assert_eq!(answer.contains("a=rtcp-mux\r\n"), is_muxed, "{answer}");
        assert_eq!(answer.contains("a=rtcp:40001\r\n"), !is_muxed, "{answer}");
        assert_eq!(parse_answer(sdp(&lines).as_bytes(), &ALL).expect("agreed").rtcp_mux, is_muxed);
    }
}

#[test]
fn the_longest_packet_time_bounds_the_one_that_is_liked() {
    for (lines, expected) in [
        ("a=maxptime:60", 20),
        ("a=maxptime:10", 10),
        ("a=ptime:60\na=maxptime:40", 40),
        ("a=ptime:30\na=maxptime:0", 30),
        ("a=maxptime:many", 20),
    ] {
        let media = agreed(&format!("m=audio 4000 RTP/AVP 0\n{lines}\n"), &ALL);
        assert_eq!(media.ptime_ms, expected, "{lines}");
    }
}

/// RFC 3264 6.1: the packet time that is liked is what we send, and say that we like as well.
#[test]
fn the_packet_time_is_answered_in_tens_from_10_to_60_and_is_20_of_opus() {
    let opus = "a=rtpmap:96 opus/48000/2\n";
    for (said, expected) in [(5, 10), (10, 10), (20, 20), (25, 20), (30, 30), (40, 40), (60, 60), (120, 60)] {
        let lines = format!("m=audio 4000 RTP/AVP 0 96\n{opus}a=ptime:{said}\n");
        let offer = parse_offer(sdp(&lines).as_bytes()).expect("usable");
        for (codec, expected) in [(Codec::Pcmu, expected), (Codec::Opus, 20)] {
            let (answer, media) = answer(&offer, ours(), Origin::first(7), &[codec]).expect("agreed");
            assert_eq!(media.ptime_ms, expected, "{said}");
            assert!(answer.contains(&format!("a=ptime:{expected}\r\na=maxptime:60\r\n")), "{answer}");
        }
    }
}

/// RFC 3389 4.
#[test]
fn comfort_noise_is_answered_beside_a_codec_of_its_clock() {
    let lines = "m=audio 4000 RTP/AVP 0 13 96 101\na=rtpmap:96 opus/48000/2\n\
        a=rtpmap:13 CN/8000\na=rtpmap:101 telephone-event/8000\n";
    let answered = |lines: &str, codec| {
        let offer = parse_offer(sdp(lines).as_bytes()).expect("usable");
        answer(&offer, ours(), Origin::first(7), &[codec]).expect("agreed")
    };
    let (sdp_of_ours, media) = answered(lines, Codec::Pcmu);
    assert!(media.comfort_noise && sdp_of_ours.contains("RTP/AVP 0 13 101\r\n"), "{sdp_of_ours}");
    assert!(sdp_of_ours.contains("a=rtpmap:13 CN/8000\r\n"));
    // Its number is static, so the line may be missing.
    assert!(answered(&lines.replace("a=rtpmap:13 CN/8000\n", ""), Codec::Pcmu).1.comfort_noise);
    for (lines, codec) in [
        (lines.to_owned(), Codec::Opus),
        (lines.replace(" 13", "").replace(":13", ":14"), Codec::Pcmu),
        (lines.replace("CN/8000", "CN/16000"), Codec::Pcmu),
        (lines.replace(" 13", " 97").replace(":13", ":97"), Codec::Pcmu),
    ] {
        let (answer, media) = answered(&lines, codec);
        assert!(!media.comfort_noise && !answer.contains("CN/"), "{answer}");
    }
    assert!(parse_answer(sdp(lines).as_bytes(), &[Codec::Pcmu]).expect("agreed").comfort_noise);
    assert!(!offer(ours(), Origin::first(7), &ALL).contains(" 13"), "not asked for by ourselves");
}

#[test]
fn numbers_doubled_or_without_a_mapping_are_passed_over() {
    let lines = "m=audio 4000 RTP/AVP 99 0 0 107 107 101 101 98 200\na=rtpmap:107 opus/48000/2\n\
        a=rtpmap:107 opus/48000/2\na=fmtp:107 useinbandfec=1\na=fmtp:107 useinbandfec=0\n\
        a=rtpmap:101 telephone-event/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=fmtp:101 0-11\n\
        a=rtpmap:55\na=rtpmap:98 \na=fmtp\na=rtpmap\n";
    for (codec, line) in [(Codec::Opus, "RTP/AVP 107 101\r\n"), (Codec::Pcmu, "RTP/AVP 0 101\r\n")] {
        let offer = parse_offer(sdp(lines).as_bytes()).expect("usable");
        let (answer, media) = answer(&offer, ours(), Origin::first(7), &[codec]).expect("agreed");
        assert_eq!(media.dtmf, Some((101, 8000)));
        assert!(answer.contains(line), "{answer}");
        assert_eq!(answer.matches("a=rtpmap:").count(), 2, "{answer}");
    }
}

#[test]
fn lines_that_do_not_concern_us_cost_no_call() {
    let offer = "v=0\r\no=root 1821 1821 IN IP4 pbx.example.com\r\ns=\r\ni=info\r\nu=http://x\r\ne=a@b\r\n\
        p=+1\r\nc=IN IP4 10.0.0.1\r\nb=AS:84\r\nb=TIAS:x\r\nt=0 0\r\nr=7d 1h\r\nz=0\r\nk=prompt\r\n\
        a=group:BUNDLE 0\r\na=msid-semantic: WMS\r\nm=audio 4000/1 RTP/AVP 0\r\ni=x\r\nb=RR:0\r\nk=clear:x\r\n\
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxx\r\na=ssrc:1 cname:x\r\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\r\n";
    let offer = parse_offer(offer.as_bytes()).expect("usable");
    let (answer, media) = answer(&offer, ours(), Origin::first(7), &ALL).expect("agreed");
    assert_eq!((media.codec, media.direction), (Codec::Pcmu, Direction::SendRecv));
    for absent in ["crypto", "candidate", "ssrc", "group"] {
        assert!(!answer.contains(absent), "{absent}: {answer}");
    }
}

/// Some PBXs offer each codec in a stream of its own.
#[test]
fn the_first_audio_stream_with_a_common_codec_is_taken() {
    let lines = "m=audio 4000 RTP/AVP 18\nm=audio 4002 RTP/AVP 0\nm=audio 4004 RTP/AVP 0\n";
    let offer = parse_offer(sdp(lines).as_bytes()).expect("usable");
    let (answer, media) = answer(&offer, ours(), Origin::first(7), &ALL).expect("agreed");
    assert_eq!(media.remote.port(), 4002);
    let taken: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(taken, ["m=audio 0 RTP/AVP 18", "m=audio 40000 RTP/AVP 0", "m=audio 0 RTP/AVP 0"]);
}

/// RFC 3264 6.1 says that an answer should keep the numbers of the offer.
#[test]
fn an_answer_with_other_numbers_is_sent_to_by_them_and_heard_by_either() {
    let lines = "m=audio 4000 RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\na=rtpmap:97 telephone-event/48000\n";
    let media = parse_answer(sdp(lines).as_bytes(), &ALL).expect("agreed");
    assert_eq!((media.payload_type, media.dtmf), (96, Some((97, 48_000))));
    assert_eq!(media.offered_as, OfferedAs { audio: Some(107), dtmf: Some(102) });
    let lines = "m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n";
    let media = parse_answer(sdp(lines).as_bytes(), &ALL).expect("agreed");
    assert_eq!(media.offered_as, OfferedAs::default());
}

#[test]
fn the_pbx_chooses_among_what_we_offered() {
    let answer = sdp("m=audio 4000 RTP/AVP 9 8 0 101\na=rtpmap:101 telephone-event/8000\n");
    let media = parse_answer(answer.as_bytes(), &[Codec::Opus, Codec::Pcmu, Codec::Pcma]).expect("agreed");
    assert_eq!((media.codec, media.dtmf), (Codec::Pcma, Some((101, 8000))));
    let media = parse_answer(answer.as_bytes(), &[Codec::Opus, Codec::Pcmu]).expect("agreed");
    assert_eq!(media.codec, Codec::Pcmu);
}

#[test]
fn our_offer_is_answered_by_ourselves() {
    let offered = offer(ours(), Origin::first(7), &ALL);
    let read = parse_offer(offered.as_bytes()).expect("ours");
    let there: SocketAddr = "198.51.100.1:5000".parse().expect("address");
    let (answered, at_them) = answer(&read, there, Origin::first(8), &[Codec::Opus]).expect("agreed");
    let at_us = parse_answer(answered.as_bytes(), &ALL).expect("agreed");
    assert_eq!(at_us.remote, there);
    assert_eq!(at_them.remote, ours());
    assert_eq!(at_us.dtmf, Some((102, 48_000)));
    assert_eq!((at_us.codec, at_us.payload_type), (at_them.codec, at_them.payload_type));
}

#[test]
fn codec_names_come_back() {
    for codec in ALL {
        assert_eq!(codec.to_string().parse(), Ok(codec));
        assert_eq!(codec.to_string().to_uppercase().parse(), Ok(codec));
    }
    assert_eq!("g729".parse::<Codec>(), Err(UnknownCodec("g729".into())));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_offer(&bytes);
        let _ = parse_answer(&bytes, &ALL);
    }

    #[test]
    fn an_answer_holds_no_payload_type_that_was_not_offered(
        offered in proptest::collection::vec(0..128_u8, 1..8),
        mapped in proptest::collection::vec(
            (0..128_u8, prop_oneof![
                Just("opus/48000/2"), Just("PCMA/8000"), Just("PCMU/8000"),
                Just("telephone-event/8000"), Just("telephone-event/48000"), Just("G722/8000"), Just("/"),
            ]),
            0..8,
        ),
    ) {
        let mut lines = "m=audio 4000 RTP/AVP".to_owned();
        offered.iter().for_each(|number| lines.push_str(&format!(" {number}")));
        lines.push('\n');
        mapped.iter().for_each(|(number, name)| lines.push_str(&format!("a=rtpmap:{number} {name}\n")));
        let offer = parse_offer(sdp(&lines).as_bytes()).expect("an audio stream");
        if let Ok((answer, media)) = answer(&offer, ours(), Origin::first(7), &ALL) {
            let line = answer.lines().find(|line| line.starts_with("m=audio")).expect("a stream");
            let numbers: Vec<u8> = line.split(' ').skip(3).map(|number| number.parse().expect("a number")).collect();
            prop_assert!(numbers.iter().all(|number| offered.contains(number)), "{} {:?}", line, offered);
            prop_assert_eq!(numbers[0], media.payload_type);
            let mut layout = Layout::of(Security::Refuse);
            layout.numbers.learn(&offer.audios[0].1.formats);
            let ours = [layout.numbers.of(Codec::Opus), layout.numbers.events(8000), layout.numbers.events(48_000)];
            prop_assert!(ours[0] != ours[1] && ours[1] != ours[2] && ours[0] != ours[2], "{:?}", ours);
        }
    }

    #[test]
    fn every_stream_is_answered_in_its_place(
        streams in proptest::collection::vec(
            prop_oneof![
                Just("audio 4000 RTP/AVP 0"), Just("audio 0 RTP/AVP 0"), Just("video 1 RTP/AVP 96"),
                Just("image 2 udptl t38"), Just("audio 3 RTP/SAVP 0"), Just("application 4 TCP x"),
            ],
            1..6,
        ),
    ) {
        let lines: String = streams.iter().map(|stream| format!("m={stream}\n")).collect();
        let plain = streams.iter().any(|stream| stream.starts_with("audio 4000 RTP/AVP"));
        if let (Ok(offer), true) = (parse_offer(sdp(&lines).as_bytes()), plain) {
            let (answer, _) = answer(&offer, ours(), Origin::first(7), &ALL).expect("PCMU is in it");
            let answered: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
            prop_assert_eq!(answered.len(), streams.len());
            let mut taken = 0;
            for (ours, theirs) in answered.iter().zip(&streams) {
                let kind = |line: &str| line.trim_start_matches("m=").split(' ').next().map(str::to_owned);
                prop_assert_eq!(kind(ours), kind(theirs));
                taken += usize::from(!ours.contains(" 0 "));
            }
            prop_assert_eq!(taken, 1);
        }
    }
}
