//! What the user typed: every key of the file, each value with its place.

use toml::de::DeTable;

use super::error::{Place, Report};
use super::table::{Field, FromText, Given, SecretAt, Section, Table, line_of};

/// Declares a table: each key with what is read of it.
macro_rules! tables {
    ($($table:ident { $($key:ident: $kind:ident -> $type:ty,)* })*) => {$(
        #[derive(Debug)]
        pub(super) struct $table {
            $(pub(super) $key: $type,)*
        }

        impl Section for $table {
            fn read(mut table: Table<'_>, report: &mut Report) -> Self {
                $(let $key = table.$kind(stringify!($key), report);)*
                table.finish(report);
                Self { $($key,)* }
            }
        }

        #[cfg(test)]
        impl Keys for $table {
            fn keys(path: &str) -> Vec<String> {
                let dot = if path.is_empty() { "" } else { "." };
                [$(<$type>::keys(&format!("{path}{dot}{}", stringify!($key))),)*].concat()
            }
        }
    )*};
}

tables! {
    Raw {
        sip: table -> Sip,
        media: table -> Media,
        graph: table -> Graph,
        webhook: table -> Webhook,
        admin: table -> Admin,
        calls: table -> Calls,
        trunk: tables -> Vec<Trunk>,
        number: tables -> Vec<Number>,
        log: table -> Log,
        journal: table -> Journal,
        route: tables -> Vec<Route>,
        hours: tables -> Vec<Hours>,
        life: table -> Life,
        records: table -> Records,
    }
    Sip {
        bind: text -> Field<String>,
        advertised: text -> Field<String>,
        listener: tables -> Vec<Listener>,
        user_agent: text -> Field<String>,
        strangers: text -> Field<String>,
        rate: integer -> Field<i64>,
        ban_after: integer -> Field<i64>,
        ban_s: integer -> Field<i64>,
        max_calls: integer -> Field<i64>,
        max_calls_per_second: integer -> Field<i64>,
    }
    Listener {
        transport: text -> Field<String>,
        bind: text -> Field<String>,
        advertised: text -> Field<String>,
        certificate: text -> Field<String>,
        key: text -> Field<String>,
        client_ca: text -> Field<String>,
    }
    Media {
        pbx: table -> MediaSide,
        whatsapp: table -> WhatsAppSide,
        workers: integer -> Field<i64>,
        opus_complexity: integer -> Field<i64>,
        port_rest_s: integer -> Field<i64>,
        jitter: table -> Jitter,
    }
    Jitter {
        least_ms: integer -> Field<i64>,
        most_ms: integer -> Field<i64>,
    }
    MediaSide {
        bind: text -> Field<String>,
        advertised: text -> Field<String>,
        ports: text -> Field<String>,
    }
    WhatsAppSide {
        bind: text -> Field<String>,
        advertised: text_or_texts -> Field<Vec<Field<String>>>,
        ports: text -> Field<String>,
    }
    Graph {
        url: text -> Field<String>,
        version: text -> Field<String>,
        connect_limit_s: integer -> Field<i64>,
        accept_limit_s: integer -> Field<i64>,
        end_limit_s: integer -> Field<i64>,
        other_limit_s: integer -> Field<i64>,
        app_id: text -> Field<String>,
        waba_id: text -> Field<String>,
    }
    Webhook {
        listen: text -> Field<String>,
        path: text -> Field<String>,
        app_secret: secrets -> Field<Vec<Field<SecretAt>>>,
        verify_token: secret -> Field<SecretAt>,
        tls: optional -> Option<WebhookTls>,
        pass_on: tables -> Vec<PassOn>,
        public_url: text -> Field<String>,
    }
    WebhookTls {
        certificate: text -> Field<String>,
        key: text -> Field<String>,
    }
    PassOn {
        url: text -> Field<String>,
        fields: texts -> Field<Vec<Field<String>>>,
    }
    Admin {
        listen: text -> Field<String>,
    }
    Calls {
        ring_limit_out_s: integer -> Field<i64>,
        ring_limit_in_s: integer -> Field<i64>,
        answer_on: text -> Field<String>,
        rejected_as: integer -> Field<i64>,
        invite_after: text -> Field<String>,
        stale_after_s: integer -> Field<i64>,
        remember_h: integer -> Field<i64>,
        unknown_calls: text -> Field<String>,
    }
    Trunk {
        name: text -> Field<String>,
        sources: texts -> Field<Vec<Field<String>>>,
        target: text -> Field<String>,
        targets: texts_or_tables -> Field<Vec<TargetTable>>,
        codecs: texts -> Field<Vec<Field<String>>>,
        default_number: text -> Field<String>,
        advertised: text -> Field<String>,
        nat: text -> Field<String>,
        tcp_for_large: flag -> Field<bool>,
        dtmf: text -> Field<String>,
        srtp: text -> Field<String>,
        ringback: text -> Field<String>,
        ringback_country: text -> Field<String>,
        transfer: flag -> Field<bool>,
        redirect: flag -> Field<bool>,
        tls: table -> Tls,
        auth: optional -> Option<Auth>,
        credentials: optional -> Option<Credentials>,
        register: optional -> Option<Register>,
        accept_register: optional -> Option<AcceptRegister>,
        health: table -> Health,
        failover: table -> Failover,
        limits: table -> Limits,
        dial: table -> Dial,
        headers: table -> Headers,
        session: table -> Session,
        rewrite: tables -> Vec<Rewrite>,
        country: text -> Field<String>,
        number_header: text -> Field<String>,
    }
    Rewrite {
        prefix: text -> Field<String>,
        replace: text -> Field<String>,
    }
    TargetTable {
        uri: text -> Field<String>,
        priority: integer -> Field<i64>,
        weight: integer -> Field<i64>,
    }
    Tls {
        ca: text -> Field<String>,
        certificate: text -> Field<String>,
        key: text -> Field<String>,
        server_name: text -> Field<String>,
        verify: text -> Field<String>,
    }
    Auth {
        realm: text -> Field<String>,
        algorithms: texts -> Field<Vec<Field<String>>>,
        user: tables -> Vec<User>,
    }
    User {
        name: text -> Field<String>,
        password: secret -> Field<SecretAt>,
    }
    Credentials {
        user: text -> Field<String>,
        password: secret -> Field<SecretAt>,
        realm: text -> Field<String>,
    }
    Register {
        to: text -> Field<String>,
        user: text -> Field<String>,
        expires_s: integer -> Field<i64>,
    }
    AcceptRegister {
        max_contacts: integer -> Field<i64>,
        min_expires_s: integer -> Field<i64>,
        max_expires_s: integer -> Field<i64>,
    }
    Health {
        interval_s: integer -> Field<i64>,
        down_after: integer -> Field<i64>,
        up_after: integer -> Field<i64>,
    }
    Failover {
        silence_s: integer -> Field<i64>,
        on: integers -> Field<Vec<Field<i64>>>,
    }
    Limits {
        calls: integer -> Field<i64>,
        calls_per_second: integer -> Field<i64>,
        longest_call_s: integer -> Field<i64>,
        minutes_a_day: integer -> Field<i64>,
        calls_per_callee_a_day: integer -> Field<i64>,
    }
    Dial {
        allowed: texts -> Field<Vec<Field<String>>>,
        refused: texts -> Field<Vec<Field<String>>>,
        emergency: texts -> Field<Vec<Field<String>>>,
    }
    Headers {
        plus: flag -> Field<bool>,
        identity: text -> Field<String>,
        meta: text -> Field<String>,
        add: pairs -> Field<Vec<Field<(String, String)>>>,
        pass: texts -> Field<Vec<Field<String>>>,
    }
    Session {
        expires_s: integer -> Field<i64>,
        min_se_s: integer -> Field<i64>,
        reliable: text -> Field<String>,
        offer: text -> Field<String>,
    }
    Number {
        phone_number_id: text -> Field<String>,
        display: text -> Field<String>,
        token: secret -> Field<SecretAt>,
        trunk: text -> Field<String>,
        destination: text -> Field<String>,
        hours: text -> Field<String>,
        closed_announcement: text -> Field<String>,
        no_pbx: text -> Field<String>,
        no_pbx_announcement: text -> Field<String>,
        permission: text -> Field<String>,
        permission_request: optional -> Option<PermissionRequest>,
        waba_id: text -> Field<String>,
        srtp: text -> Field<String>,
        additional_codecs: texts -> Field<Vec<Field<String>>>,
        prefer: text -> Field<String>,
    }
    PermissionRequest {
        text: text -> Field<String>,
        template: text -> Field<String>,
        language: text -> Field<String>,
    }
    Route {
        number: text -> Field<String>,
        deeplink_payload: text -> Field<String>,
        cta_payload: text -> Field<String>,
        country: texts -> Field<Vec<Field<String>>>,
        hours: text -> Field<String>,
        trunk: text -> Field<String>,
        destination: text -> Field<String>,
        reject: flag -> Field<bool>,
        announcement: text -> Field<String>,
    }
    Hours {
        name: text -> Field<String>,
        timezone: text -> Field<String>,
        open: texts -> Field<Vec<Field<String>>>,
        closed_on: texts -> Field<Vec<Field<String>>>,
    }
    SecretTable {
        env: text -> Field<String>,
        file: text -> Field<String>,
    }
    Log {
        level: text -> Field<String>,
        format: text -> Field<String>,
        mask_numbers: flag -> Field<bool>,
    }
    Life {
        drain_limit_s: integer -> Field<i64>,
        new_calls: text -> Field<String>,
        watch: flag -> Field<bool>,
    }
    Journal {
        enabled: flag -> Field<bool>,
        path: text -> Field<String>,
        instance: text -> Field<String>,
    }
    Records {
        path: text -> Field<String>,
        format: text -> Field<String>,
        rotate_mb: integer -> Field<i64>,
        keep: integer -> Field<i64>,
        mask_numbers: flag -> Field<bool>,
    }
}

impl Raw {
    /// Reads a whole file. Where its syntax is broken nothing else is looked at: what follows would
    /// be guesses.
    pub(super) fn parse(text: &str, report: &mut Report) -> Option<Self> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map(|span| line_of(text, span.start));
            // The message alone: what stands there may be a secret.
            let problem = error.message().lines().next().unwrap_or_default();
            let problem = problem.trim_end_matches(", expected nothing");
            let hint = if problem == "duplicate key" { "" } else { "; do all texts stand in quotes?" };
            let message = format!("not TOML: {problem}{hint}");
            report.add(&Place { key: String::new(), line }, message);
        }
        if !errors.is_empty() {
            return None;
        }
        Some(Self::read(Table::root(text, root.into_inner()), report))
    }
}

impl FromText for TargetTable {
    fn from_text(uri: Field<String>) -> Self {
        let absent = || Field { place: uri.place.clone(), value: Given::Absent };
        Self { priority: absent(), weight: absent(), uri }
    }
}

/// Every key there is, to compare the reference with.
#[cfg(test)]
pub(super) fn keys() -> Vec<String> {
    Raw::keys("")
}

#[cfg(test)]
trait Keys {
    fn keys(path: &str) -> Vec<String>;
}

#[cfg(test)]
impl<T> Keys for Field<T> {
    fn keys(path: &str) -> Vec<String> {
        vec![path.to_owned()]
    }
}

#[cfg(test)]
impl<T: Keys> Keys for Vec<T> {
    fn keys(path: &str) -> Vec<String> {
        T::keys(path)
    }
}

#[cfg(test)]
impl<T: Keys> Keys for Option<T> {
    fn keys(path: &str) -> Vec<String> {
        T::keys(path)
    }
}
