//! What the program uses: parsed, complete and consistent.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use media_relay::{Announcement, Complexity, JitterLimits, WhatsAppSide};
use wa_signaling::PhoneNumberId;

use super::capture::Capture;
use super::error::{Place, Report, listed};
use super::graph::Graph;
use super::journal::Journal;
use super::life::Life;
use super::order::Order;
use super::overlap::{self, Claim, Use};
use super::permission::Permission;
use super::raw::{self, Raw};
use super::records::Records;
use super::secret::LiveSecret;
use super::sip::Sip;
use super::table::{self, Field, SecretAt};
use super::trunk::Trunk;
use super::value::{self, within};
use super::webhook::Webhook;
use super::whatsapp::NumberAudio;
use crate::call::machine::{AnswerOn, InviteAfter, Settings};
use crate::routing::hours::Schedule;
use crate::routing::incoming::{NoPbx, Route};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// SIP towards the PBXs.
    pub sip: Sip,
    /// The audio of both sides.
    pub media: Media,
    /// The Graph API.
    pub graph: Graph,
    /// Where WhatsApp's webhooks come in.
    pub webhook: Webhook,
    /// Health and metrics.
    pub admin: Admin,
    /// Limits and choices of a call.
    pub calls: Settings,
    /// What webhooks that come late, or of no call of ours, lead to.
    pub order: Order,
    /// The PBXs; at least one. When read their ids are their places; a reload keeps the ids by name.
    pub trunks: Vec<Trunk>,
    /// The business numbers; at least one.
    pub numbers: Vec<Number>,
    /// The log.
    pub log: Log,
    /// The record of open calls.
    pub journal: Journal,
    /// Where calls from WhatsApp go that one of these matches: the first.
    pub routes: Vec<Route>,
    /// How the program ends and how it takes another configuration.
    pub life: Life,
    /// Where the records of calls go.
    pub records: Records,
    /// Where captured calls go.
    pub capture: Capture,
}

impl Config {
    /// The business number with this id.
    #[must_use]
    pub fn number(&self, id: &PhoneNumberId) -> Option<&Number> {
        self.numbers.iter().find(|number| number.phone_number_id == *id)
    }

    /// The trunk of a business number.
    #[must_use]
    pub fn trunk_of(&self, number: &Number) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.name == number.trunk)
    }
}

/// The audio of both sides.
#[derive(Clone, Debug)]
pub struct Media {
    /// Towards the PBXs: RTP on even ports, RTCP above.
    pub pbx: MediaSide,
    /// Towards WhatsApp: one port a call.
    pub whatsapp: WhatsAppSide,
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// The effort of the Opus encoder.
    pub opus_complexity: Complexity,
    /// How long a port is left alone after a call.
    pub port_rest: Duration,
    /// How long packets that are converted may wait for those before them.
    pub jitter: JitterLimits,
}

/// The side towards the PBXs.
#[derive(Clone, Debug)]
pub struct MediaSide {
    /// The address sockets are bound to.
    pub bind: IpAddr,
    /// The address the other side is told; never unspecified.
    pub advertised: IpAddr,
    /// The ports sockets are bound to.
    pub ports: RangeInclusive<u16>,
}

/// Health and metrics.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where they are told; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// A business number.
#[derive(Clone, Debug)]
pub struct Number {
    /// Graph's id of it; no other number has it.
    pub phone_number_id: PhoneNumberId,
    /// The number itself, international: digits, no `+`.
    pub display: String,
    /// Its access token.
    pub token: LiveSecret,
    /// The name of its trunk, which exists.
    pub trunk: String,
    /// The user part at the PBX that calls from WhatsApp go to; nothing: the number itself, with a `+`
    /// where the trunk has one.
    pub destination: Option<String>,
    /// Outside of them its callers are turned away; nothing: it has none.
    pub hours: Option<Arc<Schedule>>,
    /// What they hear then.
    pub closed_announcement: Option<Announcement>,
    /// What becomes of its calls when no PBX is up.
    pub no_pbx: NoPbx,
    /// What is done about its users' permission to be called.
    pub permission: Permission,
    /// Its WhatsApp Business Account, where it is another than [`Graph::waba_id`].
    pub waba_id: Option<String>,
    /// How WhatsApp's side of its audio is spoken.
    pub audio: NumberAudio,
}

impl Number {
    /// The user part of the Request-URI of its calls to the PBX; `plus` is what the trunk says of
    /// numbers.
    #[must_use]
    pub fn user(&self, plus: bool) -> String {
        let number = || format!("{}{}", if plus { "+" } else { "" }, self.display);
        self.destination.clone().unwrap_or_else(number)
    }
}

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Whether phone numbers are masked.
    pub mask_numbers: bool,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What an advertised address is for.
pub(super) const AUDIO: &str = "audio can be sent to";

/// Checks what the user typed, reporting every mistake.
pub(super) struct Checker<'a> {
    pub(super) report: &'a mut Report,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Where relative paths begin.
    pub(super) folder: &'a Path,
}

impl Checker<'_> {
    /// The configuration, if nothing is missing; it counts only if nothing was reported.
    pub(super) fn config(&mut self, raw: Raw) -> Option<Config> {
        let mut claims = Vec::new();
        // All parts are checked before the first that is missing ends it.
        let sip = self.sip(raw.sip, &mut claims);
        let media = self.media(raw.media, &mut claims);
        let graph = self.graph(raw.graph);
        let webhook = self.webhook(raw.webhook, &mut claims);
        let admin = self.listener(raw.admin.listen, ([127, 0, 0, 1], 9090), Use::Tcp, &mut claims);
        let calls = self.calls(raw.calls);
        let hours = self.hours(raw.hours);
        let (trunks, numbers) = self.routes(raw.trunk, raw.number, sip.as_ref(), &hours);
        let routes = self.incoming(raw.route, &trunks, &numbers, &hours);
        let log = self.log(raw.log);
        let life = self.life(raw.life);
        let journal = self.journal(raw.journal);
        let records = self.records(raw.records);
        let capture = self.capture(raw.capture);
        overlap::check(&claims, self.report);
        let (calls, order) = calls?;
        Some(Config {
            sip: sip?,
            media: media?,
            graph: graph?,
            webhook: webhook?,
            admin: Admin { listen: admin? },
            calls,
            order,
            trunks,
            numbers,
            log: log?,
            journal: journal?,
            routes,
            life: life?,
            records: records?,
            capture: capture?,
        })
    }

    fn media(&mut self, raw: raw::Media, claims: &mut Vec<Claim>) -> Option<Media> {
        let pbx = self.pbx_side(raw.pbx, claims);
        let whatsapp = self.whatsapp_side(raw.whatsapp, claims);
        let workers = raw.workers.check(self.report, within(0..=256)).or(0);
        let complexity = raw.opus_complexity.check(self.report, within::<u8>(0..=10)).optional();
        let port_rest = raw.port_rest_s.check(self.report, seconds(0..=600)).or(Duration::from_secs(5));
        let jitter = self.jitter(raw.jitter);
        Some(Media {
            pbx: pbx?,
            whatsapp: whatsapp?,
            workers: workers?,
            opus_complexity: complexity?.map_or(Complexity::Measured, Complexity::Fixed),
            port_rest: port_rest?,
            jitter: jitter?,
        })
    }

    fn pbx_side(&mut self, raw: raw::MediaSide, claims: &mut Vec<Claim>) -> Option<MediaSide> {
        let bind = raw.bind.check(self.report, |text| value::ip(&text)).or([0, 0, 0, 0].into());
        let place = raw.ports.place.clone();
        let ports = raw.ports.check(self.report, |text| value::port_pairs(&text)).or(20000..=29999);
        if let (Some(bind), Some(ports)) = (bind, ports.clone()) {
            claims.push(Claim { place, used_for: Use::Media, bind, ports });
        }
        let advertised = raw.advertised.check(self.report, |text| value::advertised_media(&text));
        let place = advertised.place.clone();
        let advertised = bind.and_then(|bind| {
            let ip = advertised.or(bind)?;
            self.reachable(&place, bind, ip, AUDIO)
        });
        Some(MediaSide { bind: bind?, advertised: advertised?, ports: ports? })
    }

    /// The address to advertise, unless nobody could send to it.
    pub(super) fn reachable(
        &mut self,
        place: &Place,
        bind: IpAddr,
        ip: IpAddr,
        whose: &str,
    ) -> Option<IpAddr> {
        let is_dual_stack = bind.is_ipv6() && bind.is_unspecified();
        let message = if ip.is_unspecified() {
            format!(
                "is missing: bind {bind} is no address {whose}; write the one that is, like advertised = \"192.0.2.10\""
            )
        } else if ip.is_ipv4() != bind.is_ipv4() && !is_dual_stack {
            format!("{ip} and bind {bind} are of different IP versions: nothing sent there would arrive")
        } else {
            return Some(ip);
        };
        self.report.add(place, message);
        None
    }

    pub(super) fn listener(
        &mut self,
        field: Field<String>,
        default: ([u8; 4], u16),
        used_for: Use,
        claims: &mut Vec<Claim>,
    ) -> Option<SocketAddr> {
        let place = field.place.clone();
        let address = field.check(self.report, |text| value::listener(&text)).or(default.into())?;
        claims.push(Claim::listener(place, used_for, address));
        Some(address)
    }

    pub(super) fn secret(&mut self, field: Field<SecretAt>) -> Option<LiveSecret> {
        let (env, folder) = (self.env, self.folder);
        let secret = field.check(self.report, |at| match at {
            SecretAt::Env(name) => LiveSecret::from_env(&name, env(&name)),
            SecretAt::File(path) => LiveSecret::from_file(folder.join(path)),
        });
        secret.required(self.report, table::SECRET_REMEDY)
    }

    fn calls(&mut self, raw: raw::Calls) -> Option<(Settings, Order)> {
        let default = Settings::default();
        let ring_limit_out = raw.ring_limit_out_s.check(self.report, seconds(1..=180));
        let ring_limit_in = raw.ring_limit_in_s.check(self.report, seconds(1..=60));
        let answer_on = self.choice(
            raw.answer_on,
            &[
                ("accepted", AnswerOn::Accepted),
                ("accepted_or_media", AnswerOn::AcceptedOrMedia),
                ("connect", AnswerOn::Connect),
            ],
        );
        let invite_after = self
            .choice(raw.invite_after, &[("dtls_up", InviteAfter::DtlsUp), ("webhook", InviteAfter::Webhook)]);
        let rejected_as = raw.rejected_as.check(self.report, |status| match status {
            486 => Ok(false),
            603 => Ok(true),
            other => Err(format!("{other} is not offered: write 486 (busy) or 603 (decline)")),
        });
        let order = self.order(raw.stale_after_s, raw.remember_h, raw.unknown_calls);
        let settings = Settings {
            ring_limit_out: ring_limit_out.or(default.ring_limit_out)?,
            ring_limit_in: ring_limit_in.or(default.ring_limit_in)?,
            answer_on: answer_on.or(default.answer_on)?,
            invite_after: invite_after.or(default.invite_after)?,
            rejected_is_603: rejected_as.or(default.rejected_is_603)?,
            // By trunk.
            ..default
        };
        Some((settings, order?))
    }

    pub(super) fn choice<T: Copy>(&mut self, field: Field<String>, choices: &[(&str, T)]) -> Field<T> {
        field.check(self.report, |text| {
            let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
            let names = || listed(choices.iter().map(|(name, _)| *name));
            chosen.ok_or_else(|| format!("{text:?} is not known: write one of {}", names()))
        })
    }

    fn log(&mut self, raw: raw::Log) -> Option<Log> {
        let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
        let level = self.choice(raw.level, &levels).or("info");
        let format = self.choice(raw.format, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let (format, mask_numbers) = (format.or(LogFormat::Text), raw.mask_numbers.or(true));
        Some(Log { level: level?.to_owned(), format: format?, mask_numbers: mask_numbers? })
    }
}

pub(super) fn seconds(limits: RangeInclusive<i64>) -> impl FnOnce(i64) -> Result<Duration, String> {
    move |number| within(limits)(number).map(Duration::from_secs)
}
