//! The messages of RFC 4475 and RFC 5118, and what each of them gets. Included by the tests of the endpoint and by those
//! of the whole bridge.

/// The one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status.
    Status(u16),
    /// It is a call: this status is what the bridge gives it, as it can be routed nowhere.
    Call(u16),
    /// Nothing may come back.
    Silence,
}

/// What else the RFC would let an endpoint answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// It is well formed: any status that does not call it broken, such as 400, 500, 505 or 513.
    WellFormed,
    /// The same, and 400 besides.
    WellFormedOr400,
    /// It may be refused as broken, in these words only.
    Only(&'static [u16]),
    /// Any 4xx.
    Any4xx,
    /// Any 4xx, or it is taken for what was meant: 200.
    Any4xxOr200,
    /// It is noise, or a response that nobody asked for.
    Nothing,
}

impl Allowed {
    pub(crate) fn allows(self, status: Option<u16>) -> bool {
        let Some(status) = status else {
            return self == Self::Nothing;
        };
        let well_formed = (200..700).contains(&status) && ![400, 500, 505, 513].contains(&status);
        match self {
            Self::WellFormed => well_formed,
            Self::WellFormedOr400 => well_formed || status == 400,
            Self::Only(statuses) => statuses.contains(&status),
            Self::Any4xx => (400..500).contains(&status),
            Self::Any4xxOr200 => status == 200 || (400..500).contains(&status),
            Self::Nothing => false,
        }
    }
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) file: &'static str,
    pub(crate) section: &'static str,
    pub(crate) answer: Answer,
    pub(crate) allowed: Allowed,
    pub(crate) bytes: &'static [u8],
}

macro_rules! rows {
    ($($file:literal $section:literal $answer:expr, $allowed:expr;)*) => {
        &[$(Row {
            file: $file,
            section: $section,
            answer: $answer,
            allowed: $allowed,
            bytes: include_bytes!($file),
        }),*]
    };
}

use Allowed::{Any4xx, Any4xxOr200, Nothing, Only, WellFormed, WellFormedOr400};
use Answer::{Call, Silence, Status};

/// All 61.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = rows! {
    "rfc4475/wsinv.dat" "3.1.1.1" Status(481), WellFormed;
    "rfc4475/intmeth.dat" "3.1.1.2" Status(501), WellFormed;
    "rfc4475/esc01.dat" "3.1.1.3" Call(404), WellFormed;
    "rfc4475/escnull.dat" "3.1.1.4" Status(405), WellFormed;
    "rfc4475/esc02.dat" "3.1.1.5" Status(501), WellFormed;
    "rfc4475/lwsdisp.dat" "3.1.1.6" Status(200), WellFormed;
    "rfc4475/longreq.dat" "3.1.1.7" Call(404), WellFormed;
    "rfc4475/dblreq.dat" "3.1.1.8" Status(405), WellFormed;
    "rfc4475/semiuri.dat" "3.1.1.9" Status(200), WellFormed;
    "rfc4475/transports.dat" "3.1.1.10" Status(200), WellFormed;
    "rfc4475/mpart01.dat" "3.1.1.11" Status(405), WellFormed;
    "rfc4475/unreason.dat" "3.1.1.12" Silence, Nothing;
    "rfc4475/noreason.dat" "3.1.1.13" Silence, Nothing;
    "rfc4475/badinv01.dat" "3.1.2.1" Status(400), Only(&[400]);
    "rfc4475/clerr.dat" "3.1.2.2" Status(400), Only(&[400]);
    "rfc4475/ncl.dat" "3.1.2.3" Status(400), Only(&[400]);
    "rfc4475/scalar02.dat" "3.1.2.4" Status(400), Only(&[400, 405]);
    "rfc4475/scalarlg.dat" "3.1.2.5" Silence, Nothing;
    "rfc4475/quotbal.dat" "3.1.2.6" Status(400), Any4xx;
    "rfc4475/ltgtruri.dat" "3.1.2.7" Status(400), Any4xx;
    "rfc4475/lwsruri.dat" "3.1.2.8" Status(400), Any4xx;
    "rfc4475/lwsstart.dat" "3.1.2.9" Status(400), Any4xx;
    "rfc4475/trws.dat" "3.1.2.10" Status(400), Any4xxOr200;
    "rfc4475/escruri.dat" "3.1.2.11" Status(400), Any4xx;
    "rfc4475/baddate.dat" "3.1.2.12" Call(404), WellFormedOr400;
    "rfc4475/regbadct.dat" "3.1.2.13" Status(405), Any4xx;
    "rfc4475/badaspec.dat" "3.1.2.14" Status(200), Any4xxOr200;
    "rfc4475/baddn.dat" "3.1.2.15" Status(200), Any4xxOr200;
    "rfc4475/badvers.dat" "3.1.2.16" Status(505), Only(&[505, 400]);
    "rfc4475/mismatch01.dat" "3.1.2.17" Status(400), Only(&[400]);
    "rfc4475/mismatch02.dat" "3.1.2.18" Status(400), Only(&[400, 405, 501]);
    "rfc4475/bigcode.dat" "3.1.2.19" Silence, Nothing;
    "rfc4475/badbranch.dat" "3.2.1" Status(200), Any4xxOr200;
    "rfc4475/insuf.dat" "3.3.1" Silence, Nothing;
    "rfc4475/unkscm.dat" "3.3.2" Status(416), WellFormedOr400;
    "rfc4475/novelsc.dat" "3.3.3" Status(416), WellFormedOr400;
    "rfc4475/unksm2.dat" "3.3.4" Status(405), WellFormedOr400;
    "rfc4475/bext01.dat" "3.3.5" Status(420), Only(&[420]);
    "rfc4475/invut.dat" "3.3.6" Status(415), Only(&[415, 404, 403, 484]);
    "rfc4475/regaut01.dat" "3.3.7" Status(405), WellFormed;
    "rfc4475/multi01.dat" "3.3.8" Status(400), Only(&[400]);
    "rfc4475/mcl01.dat" "3.3.9" Status(400), Only(&[400]);
    "rfc4475/bcast.dat" "3.3.10" Silence, Nothing;
    "rfc4475/zeromf.dat" "3.3.11" Status(200), Only(&[200, 483, 403, 404, 401, 407]);
    "rfc4475/cparam01.dat" "3.3.12" Status(405), WellFormed;
    "rfc4475/cparam02.dat" "3.3.13" Status(405), WellFormed;
    "rfc4475/regescrt.dat" "3.3.14" Status(405), WellFormed;
    "rfc4475/sdp01.dat" "3.3.15" Status(406), Only(&[406, 404, 403, 484, 488]);
    "rfc4475/inv2543.dat" "3.4.1" Status(400), WellFormedOr400;
    "rfc5118/ipv6-good.dat" "4.1" Status(405), WellFormed;
    "rfc5118/ipv6-bad.dat" "4.2" Status(400), Any4xx;
    "rfc5118/port-ambiguous.dat" "4.3" Status(405), WellFormed;
    "rfc5118/port-unambiguous.dat" "4.4" Status(405), WellFormed;
    "rfc5118/via-received-param-with-delim.dat" "4.5" Status(481), WellFormed;
    "rfc5118/via-received-param-no-delim.dat" "4.5" Status(200), WellFormed;
    "rfc5118/ipv6-in-sdp.dat" "4.6" Call(404), WellFormed;
    "rfc5118/mult-ip-in-header.dat" "4.7" Status(481), WellFormed;
    "rfc5118/mult-ip-in-sdp.dat" "4.8" Call(404), WellFormed;
    "rfc5118/ipv4-mapped-ipv6.dat" "4.9" Call(404), WellFormed;
    "rfc5118/ipv6-bug-abnf-3-colons.dat" "4.10" Status(400), Any4xxOr200;
    "rfc5118/ipv6-correct-abnf-2-colons.dat" "4.10" Status(200), WellFormed;
};
