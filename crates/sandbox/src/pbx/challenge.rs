//! Challenges (RFC 3261 22): the phone answers those of the bridge with its login, and asks for the bridge's.

use std::io;
use std::net::SocketAddr;

use super::core::Core;
use super::outgoing;
use super::sip::Message;

/// The same request once more, with the answer to the challenge that it met; none where the phone has no
/// answer, or has given it already.
pub(super) fn answered(core: &Core, request: &Message, response: &Message) -> Option<Message> {
    let login = core.config.login.as_ref()?;
    let (name, value) = login.answer(response, request, &core.token())?;
    if request.header(name).is_some() {
        return None;
    }
    let (number, method) = request.cseq()?;
    let cseq = format!("{} {method}", number + 1);
    let via = core.via();
    let again = request.clone().set("Via", &via).set("CSeq", &cseq);
    Some(again.with(name, value))
}

/// An INVITE that the bridge lets pass: a phone with a login expects to be asked for it.
pub(super) async fn invite(core: &Core, to: SocketAddr, invite: Message, key: &str) -> io::Result<Message> {
    if core.config.login.is_none() {
        return Ok(invite);
    }
    let response = core.exchange(to, &invite, key).await;
    let response = response.ok_or_else(|| io::Error::other("no answer to an INVITE without credentials"))?;
    outgoing::acknowledge_refusal(core, &invite, to, &response, key).await;
    let again = answered(core, &invite, &response);
    again.ok_or_else(|| io::Error::other(format!("{} to an INVITE without credentials", response.title())))
}

/// Whether a request has the credentials that the phone demands. If not, it has been challenged.
pub(super) async fn passes(core: &Core, request: &Message, from: SocketAddr) -> bool {
    let Some(login) = &core.config.demands else { return true };
    if matches!(request.method(), Some("ACK" | "CANCEL" | "OPTIONS")) {
        return true;
    }
    // A registrar is the end of the way, anything else a proxy on it.
    let (status, reason, asks, answers) = match request.method() {
        Some("REGISTER") => (401, "Unauthorized", "WWW-Authenticate", "Authorization"),
        _ => (407, "Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization"),
    };
    let why = match request.header(answers).map(|value| login.proves(value, request)) {
        Some(Ok(nonce)) if core.book().nonces.contains(&nonce) => return true,
        Some(Ok(_)) => "a nonce that is not the phone's".to_owned(),
        Some(Err(why)) => why,
        None => "no credentials".to_owned(),
    };
    tracing::debug!(%why, "the phone asks for a password");
    let nonce = core.token();
    let refusal = Message::response(request, status, reason).with(asks, login.challenge(&nonce));
    {
        let mut book = core.book();
        book.nonces.insert(nonce);
        book.challenged.extend(request.branch().map(str::to_owned));
    }
    core.reply(from, request, refusal.with_to_tag(&core.token()), "").await;
    false
}

/// Is this the ACK of a challenge?
pub(super) fn is_acknowledged(core: &Core, ack: &Message) -> bool {
    ack.branch().is_some_and(|branch| core.book().challenged.contains(branch))
}
