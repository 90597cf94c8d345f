//! The device's day: it says hello, listens, and works on what it accepted.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use protocol::device::PushEvent;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    Device, Error, Event,
    deployment::Worked,
    enrolment,
    pace::{Backoff, jittered},
    push::Push,
};

/// The longest that one quiet backend keeps a device from asking for a link that it lacks.
const ASK_FOR_LINK: Duration = Duration::from_secs(30);
/// How long a renewal may keep a device from everything else.
const RENEWAL: Duration = Duration::from_secs(60);

/// Why a device stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It was asked to.
    Canceled,
    /// Its installer asked for a restart: open it again once it, or the machine, is up again.
    Restart,
}

/// The pauses before the next session.
struct Pauses {
    /// While the backend does not answer a hello.
    hello: Backoff,
    /// While it does, and what the device then works on fails all the same and gets no further.
    work: Backoff,
    /// Which of the two the session fails at.
    working: bool,
}

/// What the loop wakes for.
enum Wake {
    Push(Result<PushEvent, Error>),
    Timer,
}

impl Device {
    /// Runs until `cancel` is ready: finishes what was on trial, checks in, holds a push stream open,
    /// falls back to polling, and works on what it accepted. The network may come and go; dropping the
    /// future is as good as canceling.
    ///
    /// # Errors
    /// What does not pass by itself: the medium failed, or the device is no longer welcome.
    pub async fn run(&mut self, cancel: impl Future<Output = ()>) -> Result<Exit, Error> {
        let mut cancel = pin!(cancel);
        tokio::select! {
            biased;
            () = &mut cancel => Ok(Exit::Canceled),
            ended = self.run_on() => ended,
        }
    }

    async fn run_on(&mut self) -> Result<Exit, Error> {
        let retry = self.parts.pace.retry;
        let mut pauses = Pauses { hello: Backoff::new(retry), work: Backoff::new(retry), working: false };
        loop {
            let before = self.stands();
            pauses.working = false;
            let ended = self.session(&mut pauses).await;
            if self.stands() > before {
                pauses.work.reset();
            }
            match ended {
                Ok(exit) => return Ok(exit),
                Err(error) if error.fatal() => return Err(error),
                Err(error) => {
                    let backoff = if pauses.working { &mut pauses.work } else { &mut pauses.hello };
                    let pause = backoff.next(&mut *self.parts.random);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        code = error.code().as_str(),
                        ?pause,
                        "trying again"
                    );
                    self.listening(false);
                    self.observe(&Event::Trouble { code: error.code() });
                    self.http.close();
                    self.basis = None;
                    sleep(pause).await;
                }
            }
        }
    }

    /// From one hello until the network, or something that came through it, fails.
    async fn session(&mut self, pauses: &mut Pauses) -> Result<Exit, Error> {
        if self.resume_trial().await? == Worked::Restarting {
            return Ok(Exit::Restart);
        }
        // Opened before the check-in, so that nothing falls between the two.
        let mut push = self.listen().await;
        let mut deaf = Backoff::new(self.parts.pace.retry);
        let mut listen_at = Instant::now() + deaf.next(&mut *self.parts.random);
        let mut inbox = VecDeque::new();
        let mut due = self.hello_again(push.is_some()).await?;
        pauses.hello.reset();
        loop {
            while let Some(event) = inbox.pop_front() {
                self.hear(event).await?;
            }
            if push.is_none() && Instant::now() >= listen_at {
                push = self.listen().await;
                if push.is_some() {
                    deaf.reset();
                    // The hello brings what was said while nobody listened.
                    due = Instant::now();
                }
                listen_at = Instant::now() + deaf.next(&mut *self.parts.random);
            }
            if Instant::now() >= due {
                due = self.hello_again(push.is_some()).await?;
            }
            pauses.working = true;
            let worked = self.work_and_listen(&mut push, &mut inbox).await?;
            pauses.working = false;
            self.listening(push.is_some());
            match worked {
                Worked::Restarting => return Ok(Exit::Restart),
                Worked::Interrupted => continue,
                // What was not taken during a trial is offered again.
                Worked::Ended => due = self.hello_again(push.is_some()).await?,
                Worked::NeedsLink => due = due.min(Instant::now() + self.pause(ASK_FOR_LINK)),
                Worked::Nothing => {}
            }
            if !inbox.is_empty() {
                continue;
            }
            let wake_at = if push.is_some() { due } else { due.min(listen_at) };
            match wait(&mut push, wake_at).await {
                Wake::Push(Ok(event)) => inbox.push_back(event),
                Wake::Push(Err(error)) => return Err(error),
                Wake::Timer => {}
            }
        }
    }

    /// Works, and listens meanwhile: an offer interrupts the work where that does no harm.
    async fn work_and_listen(
        &mut self,
        push: &mut Option<Push>,
        inbox: &mut VecDeque<PushEvent>,
    ) -> Result<Worked, Error> {
        let interrupt = AtomicBool::new(false);
        let mut work = pin!(self.work(&interrupt));
        loop {
            tokio::select! {
                biased;
                worked = &mut work => return worked,
                event = hear_next(push) => match event {
                    Ok(event) => {
                        if matches!(event, PushEvent::Offer(_) | PushEvent::Metadata) {
                            interrupt.store(true, Ordering::Relaxed);
                            inbox.push_back(event);
                        }
                    }
                    // The download may well go on; the stream is opened again after it.
                    Err(error) => {
                        tracing::info!(error = &error as &dyn std::error::Error, "the push stream broke");
                        *push = None;
                    }
                },
            }
        }
    }

    async fn hear(&mut self, event: PushEvent) -> Result<(), Error> {
        match event {
            PushEvent::Hello { .. } | PushEvent::Ping => Ok(()),
            PushEvent::Metadata => self.refresh().await,
            PushEvent::Offer(offer) => {
                self.observe(&Event::Pushed { deployment: offer.deployment });
                self.refresh().await?;
                self.take(&offer).await?;
                self.flush().await
            }
        }
    }

    /// Checks in; gives when to do so again.
    async fn hello_again(&mut self, listening: bool) -> Result<Instant, Error> {
        self.renew_in_time().await?;
        let poll = self.check_in().await?;
        self.flush().await?;
        let longest = self.parts.pace.longest_poll;
        let pause =
            if listening { longest } else { Duration::from(poll).clamp(Duration::from_millis(10), longest) };
        Ok(Instant::now() + self.pause(pause))
    }

    async fn listen(&mut self) -> Option<Push> {
        match Push::open(self.http.endpoint().clone(), self.parts.pace.push_silence).await {
            Ok(push) => {
                self.listening(true);
                Some(push)
            }
            Err(error) => {
                tracing::info!(error = &error as &dyn std::error::Error, "no push stream: polling");
                None
            }
        }
    }

    /// Renews a certificate in the last third of its life. While it holds, a renewal that nobody has
    /// decided on keeps the device from nothing; the next hello asks again.
    async fn renew_in_time(&mut self) -> Result<(), Error> {
        let certificate = self.enrolled.certificate()?;
        let (begin, end) = (certificate.certificate().not_before(), certificate.certificate().not_after());
        let now = self.time().latest();
        if end == model::UnixTime::MAX || now < end - model::Seconds(end.since(begin).0 / 3) {
            return Ok(());
        }
        let renewal = enrolment::renew(self.settings.serial.as_ref(), &mut self.parts);
        match timeout(RENEWAL, renewal).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if now < end => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the certificate is not renewed yet"
                );
                return Ok(());
            }
            Ok(Err(error)) => return Err(error),
            Err(_) if now < end => return Ok(()),
            Err(_) => return Err(Error::answer("nobody has decided on the renewal yet")),
        }
        if let Some(enrolled) = crate::identity::Enrolled::load(&*self.parts.storage)? {
            self.http.redirect(enrolled.endpoint(&self.keys, self.parts.dial.clone(), self.floor.clone())?);
            self.http.close();
            self.enrolled = enrolled;
        }
        Ok(())
    }

    /// Grows with everything that gets further: reports made, bytes staged.
    fn stands(&self) -> (u64, u64) {
        (self.record.outbox.made(), self.parts.storage.staged_bytes().unwrap_or(0))
    }

    fn pause(&mut self, pause: Duration) -> Duration {
        jittered(pause, &mut *self.parts.random)
    }
}

impl Error {
    /// Whether running on makes no sense.
    const fn fatal(&self) -> bool {
        matches!(self, Self::NotEnrolled | Self::NoToken | Self::StateLost | Self::Key { .. } | Self::Address)
    }
}

async fn wait(push: &mut Option<Push>, due: Instant) -> Wake {
    tokio::select! {
        event = hear_next(push) => Wake::Push(event),
        () = sleep_until(due) => Wake::Timer,
    }
}

/// The next event; waits for ever where there is no stream.
async fn hear_next(push: &mut Option<Push>) -> Result<PushEvent, Error> {
    match push {
        Some(push) => push.event().await,
        None => std::future::pending().await,
    }
}
