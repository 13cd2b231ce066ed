//! What can change while the driver runs, and waiting until it has nothing left to say.

use std::collections::HashMap;
use std::io;

use tokio::sync::oneshot;

use super::{Driver, Sip, setup};
use crate::endpoint::{Command, Input};
use crate::profile::TrunkProfile;
use crate::transport::connections::Tls;
use crate::transport::strangers::Strangers;
use crate::transport::tls::{TlsClient, TlsServer};
use crate::transport::{ListenerId, TrunkId};

/// Changes that wait for the driver; beyond, who asks waits.
pub(super) const CONTROLS: usize = 16;

/// What holds from now on in place of what [`super::SipConfig`] said.
#[derive(Debug, Clone, Default)]
pub struct SipChange {
    /// All trunks.
    pub trunks: Vec<(TrunkId, TrunkProfile)>,
    /// What each TLS listener shows.
    pub tls_servers: HashMap<ListenerId, TlsServer>,
    /// How TLS connections to the peers of each trunk are opened.
    pub tls_clients: HashMap<TrunkId, TlsClient>,
    /// For the User-Agent and Server header fields.
    pub user_agent: String,
    /// How strangers are met, and peers that misbehave.
    pub strangers: Strangers,
}

/// A change that is ready to be made.
#[derive(Debug)]
pub(super) struct Change {
    command: Command,
    tls: Tls,
    strangers: Strangers,
}

/// What the driver is asked beside its commands, and who waits for it.
#[derive(Debug)]
pub(super) enum Control {
    Change(Box<Change>, oneshot::Sender<()>),
    /// Answered when all is settled.
    Settle(oneshot::Sender<()>),
}

impl Sip {
    /// Puts other trunks and other TLS files in force, without touching a call or a connection; when it returns they are.
    ///
    /// # Errors
    /// When a TLS file cannot be used: nothing has changed then.
    pub async fn reconfigure(&self, change: SipChange) -> io::Result<()> {
        let tls = setup::tls(&self.tls_listeners, &change.tls_servers, &change.tls_clients)?;
        let (done, is_done) = oneshot::channel();
        let command = Command::Configure { trunks: change.trunks, user_agent: change.user_agent };
        let change = Change { command, tls, strangers: change.strangers };
        self.ask(Control::Change(Box::new(change), done), is_done).await
    }

    /// Returns when all legs have ended and every BYE, CANCEL and final response has its answer, or was sent often
    /// enough. It may never be while calls begin.
    ///
    /// # Errors
    /// When the driver has ended.
    pub async fn settled(&self) -> io::Result<()> {
        let (done, is_done) = oneshot::channel();
        self.ask(Control::Settle(done), is_done).await
    }

    async fn ask(&self, control: Control, answer: oneshot::Receiver<()>) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the SIP driver has ended");
        self.controls.send(control).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl Driver {
    /// Does what was asked; `false` when nobody takes the events any more.
    pub(super) async fn control(&mut self, control: Control) -> bool {
        match control {
            Control::Change(change, done) => {
                self.connections.set_tls(change.tls);
                self.gate.set(change.strangers);
                let goes_on = self.input(Input::Command(change.command)).await;
                // Who asked may have gone.
                let _ = done.send(());
                goes_on
            }
            Control::Settle(done) => {
                self.settling.retain(|other| !other.is_closed());
                self.settling.push(done);
                true
            }
        }
    }

    /// Tells those who wait for it that nothing is on its way.
    pub(super) fn tell_settled(&mut self) {
        if self.settling.is_empty() || !self.commands.is_empty() || !self.endpoint.is_settled() {
            return;
        }
        for waiting in self.settling.drain(..) {
            let _ = waiting.send(());
        }
    }
}
