//! `[graph]`: where the Graph API is and how long it may take.

use wa_signaling::TimeLimits;

use super::raw;
use super::valid::{Checker, seconds};
use super::value;

/// The Graph API.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Its base, without a slash at the end.
    pub url: String,
    /// Its version, such as `v25.0`.
    pub version: String,
    /// How long each operation may take.
    pub limits: TimeLimits,
    /// Graph's id of the Meta app, for `doctor`.
    pub app_id: Option<String>,
    /// Graph's id of the WhatsApp Business Account of the numbers that name none, for `doctor`.
    pub waba_id: Option<String>,
}

impl Checker<'_> {
    pub(super) fn graph(&mut self, raw: raw::Graph) -> Option<Graph> {
        let default = TimeLimits::default();
        let url = raw.url.check(self.report, |text| value::graph_url(&text));
        let version = raw.version.check(self.report, |text| value::graph_version(&text));
        let connect = raw.connect_limit_s.check(self.report, seconds(1..=60)).or(default.connect);
        // Within the time that WhatsApp waits for an answer several tries have room.
        let accept = raw.accept_limit_s.check(self.report, seconds(1..=15)).or(default.accept);
        let end = raw.end_limit_s.check(self.report, seconds(1..=60)).or(default.terminate);
        let other = raw.other_limit_s.check(self.report, seconds(1..=60)).or(default.other);
        let (url, version) = (url.or("https://graph.facebook.com".into()), version.or("v25.0".into()));
        let app_id = raw.app_id.check(self.report, |text| value::graph_id(&text)).optional();
        let waba_id = raw.waba_id.check(self.report, |text| value::graph_id(&text)).optional();
        let (accept, end) = (accept?, end?);
        let limits = TimeLimits {
            connect: connect?,
            pre_accept: accept,
            accept,
            reject: end,
            terminate: end,
            other: other?,
        };
        Some(Graph { url: url?, version: version?, limits, app_id: app_id?, waba_id: waba_id? })
    }
}
