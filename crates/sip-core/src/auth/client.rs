//! The client's side: answers to a 401 or 407 (RFC 3261 22.2 and 22.3, RFC 8760 2.4).

use std::collections::VecDeque;

use super::digest::{Challenge, Protected, challenges, unquoted};
use super::{Account, Credentials};
use crate::message::{Headers, Request, Response};

/// The most times that one request is sent again because of challenges: a proxy, the server behind it, a stale nonce.
pub const MAX_ANSWERS: usize = 3;
/// The most nonces whose uses are counted. Beyond it the oldest is forgotten: a server that gives it out once more
/// calls the count stale.
const MAX_NONCES: usize = 64;

/// Why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing to answer it with.
    #[error("no credentials on this trunk")]
    NoCredentials,
    /// No scheme, algorithm or realm among the challenges is one of ours.
    #[error("no challenge that we could answer")]
    NoMatch,
    /// It was answered before: the credentials are wrong.
    #[error("the answer was not accepted")]
    NotAccepted,
    /// One challenge after the other.
    #[error("too many challenges")]
    TooMany,
}

/// The challenges that one request has answered so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered(Vec<Past>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Past {
    field: &'static str,
    realm: String,
}

/// Answers the challenges of one trunk.
#[derive(Debug)]
pub struct Answerer {
    account: Option<Account>,
    /// How often each nonce has been used, the oldest first.
    uses: VecDeque<(String, u32)>,
}

impl Answerer {
    /// Without an account no challenge is answered.
    pub fn new(account: Option<Account>) -> Self {
        Self { account, uses: VecDeque::new() }
    }

    /// Adds to `request` the answer to the challenges of `response`, a 401 or 407. `cnonce` must not be guessable.
    ///
    /// The request keeps its answers to other realms. It still needs its new branch and CSeq number.
    ///
    /// # Errors
    /// [`Refused`] says why there is no answer: the response is final then.
    pub fn answer(
        &mut self,
        response: &Response,
        request: &mut Request,
        answered: &mut Answered,
        cnonce: &str,
    ) -> Result<(), Refused> {
        let account = self.account.as_ref().ok_or(Refused::NoCredentials)?;
        let (from, field) = fields(response.status).ok_or(Refused::NoMatch)?;
        let challenge = choose(account, &response.headers, from).ok_or(Refused::NoMatch)?;
        answered.admit(field, &challenge)?;
        let with = account.credentials.clone();
        let value = self.value(&challenge, &with, request, cnonce);
        replace(&mut request.headers, field, &challenge.realm, value);
        Ok(())
    }

    fn value(
        &mut self,
        challenge: &Challenge,
        with: &Credentials,
        request: &Request,
        cnonce: &str,
    ) -> String {
        let uri = request.uri.to_string();
        let protected = Protected { method: request.method.as_str(), uri: &uri, body: &request.body };
        let nc = self.count(&challenge.nonce);
        challenge.answer(with, protected, nc, cnonce).to_string()
    }

    /// Counts one more use of a nonce: servers give the same one to requests of the same second.
    fn count(&mut self, nonce: &str) -> u32 {
        if let Some((_, count)) = self.uses.iter_mut().find(|(known, _)| known == nonce) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.uses.len() >= MAX_NONCES {
            self.uses.pop_front();
        }
        self.uses.push_back((nonce.to_owned(), 1));
        1
    }
}

impl Answered {
    /// One answer a realm, and another only where the nonce alone was bad.
    fn admit(&mut self, field: &'static str, challenge: &Challenge) -> Result<(), Refused> {
        let before = self.0.iter().any(|past| past.field == field && past.realm == challenge.realm);
        if before && !challenge.stale {
            return Err(Refused::NotAccepted);
        }
        if self.0.len() >= MAX_ANSWERS {
            return Err(Refused::TooMany);
        }
        self.0.push(Past { field, realm: challenge.realm.clone() });
        Ok(())
    }
}

/// The strongest challenge that is for us; of two that are as strong, the first.
fn choose(account: &Account, headers: &Headers, from: &str) -> Option<Challenge> {
    let ours =
        |challenge: &Challenge| account.realm.as_ref().is_none_or(|realm| unquoted(realm) == challenge.realm);
    let mut best: Option<Challenge> = None;
    for challenge in headers.get_all(from).flat_map(challenges).filter(ours) {
        if best.as_ref().is_none_or(|best| challenge.algorithm > best.algorithm) {
            best = Some(challenge);
        }
    }
    best
}

/// Where the challenges of a response are, and where their answer goes.
fn fields(status: u16) -> Option<(&'static str, &'static str)> {
    match status {
        401 => Some(("WWW-Authenticate", "Authorization")),
        407 => Some(("Proxy-Authenticate", "Proxy-Authorization")),
        _ => None,
    }
}

/// Puts the answer in the place of the one to the same realm.
fn replace(headers: &mut Headers, field: &str, realm: &str, value: String) {
    let same_realm = |old: &str| super::authorization(old).is_some_and(|old| old.realm == realm);
    let others: Vec<_> = headers.get_all(field).filter(|old| !same_realm(old)).map(str::to_owned).collect();
    headers.remove(field);
    for other in others {
        headers.push(field, other);
    }
    headers.push(field, value);
}

#[cfg(test)]
mod tests;
