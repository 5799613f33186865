//! A stream of secure sums, the coordinator's end: words in, words out, nothing checked.

use crate::scripted::SecureStream;
use consilium_common::id::Digest;
use consilium_common::secagg::Slot;
use consilium_common::secagg::message::Message;
use consilium_proto::v1::{self as wire, secure_down, secure_open, secure_up};
use std::time::Duration;

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A part of a message, bytes.
const PART_BYTES: usize = 64 * 1024;

/// What an agent does when it is told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It answers: the exact bytes, and the sizes of the parts that they came in.
    Message(Vec<u8>, Vec<usize>),
    /// It refuses, by this rule.
    Refused(String),
    /// Its stream ended, or broke.
    Gone,
    /// The coordinator said nothing more.
    Unasked,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer(pub Answer);

/// The coordinator's end of one stream.
pub struct Line {
    stream: SecureStream,
    /// Every message of the agent: its kind, and the sizes of its parts.
    pub heard: Vec<(u8, Vec<usize>)>,
    /// The same messages' exact bytes.
    pub messages: Vec<Vec<u8>>,
}

impl Line {
    /// Takes the call of an agent.
    ///
    /// # Panics
    /// It does not say first which study it joins, or another.
    pub async fn taken(stream: SecureStream, study: Digest) -> Self {
        let mut line = Self { stream, heard: Vec::new(), messages: Vec::new() };
        let join = tokio::time::timeout(PATIENCE, line.stream.up.message()).await;
        let join = join.expect("an agent says what it joins").expect("over a whole stream");
        match join.and_then(|up| up.part) {
            Some(secure_up::Part::Join(join)) => assert_eq!(join.study[..], study.as_bytes()[..]),
            other => panic!("expected a join, came {other:?}"),
        }
        line
    }

    async fn say(&mut self, part: secure_down::Part) {
        // An agent that has refused does not listen any more; the answer shows it.
        let _ = self.stream.down.send(Ok(wire::SecureDown { part: Some(part) })).await;
    }

    /// A session for training.
    pub async fn open(&mut self, number: u64) {
        let sums = Some(secure_open::Sums::Training(wire::SecureTraining {}));
        self.say(secure_down::Part::Open(wire::SecureOpen { number, sums })).await;
    }

    /// A session for a grouping.
    pub async fn open_grouping(&mut self, number: u64, name: &str) {
        let sums = Some(secure_open::Sums::Grouping(name.to_owned()));
        self.say(secure_down::Part::Open(wire::SecureOpen { number, sums })).await;
    }

    /// An attempt is to be shared for.
    pub async fn share(&mut self, slot: Slot) {
        let Slot { step, attempt } = slot;
        self.say(secure_down::Part::Share(wire::SecureShare { step, attempt })).await;
    }

    /// A message of the protocol.
    pub async fn tell<M: Message>(&mut self, message: &M) {
        self.tell_bytes(&message.to_bytes()).await;
    }

    /// Any bytes, as if they were a message.
    pub async fn tell_bytes(&mut self, bytes: &[u8]) {
        for part in parts(bytes) {
            self.say(secure_down::Part::Message(part)).await;
        }
    }

    /// A model's bytes.
    pub async fn model(&mut self, bytes: &[u8]) {
        for part in parts(bytes) {
            self.say(secure_down::Part::Model(part)).await;
        }
    }

    /// A word that says nothing.
    pub async fn nothing(&mut self) {
        let _ = self.stream.down.send(Ok(wire::SecureDown { part: None })).await;
    }

    /// A message, or a model, of which another part always comes, until the agent has had enough.
    ///
    /// # Panics
    /// It takes 256 MiB.
    pub async fn endless(&mut self, model: bool) {
        for _ in 0..4096 {
            let part = wire::SecurePart { bytes: vec![0; PART_BYTES].into(), last: false };
            let part = if model { secure_down::Part::Model(part) } else { secure_down::Part::Message(part) };
            if self.stream.down.send(Ok(wire::SecureDown { part: Some(part) })).await.is_err() {
                return;
            }
        }
        panic!("the agent keeps 256 MiB of one message");
    }

    /// What the agent says next.
    ///
    /// # Panics
    /// It says nothing for half a minute, or joins twice.
    pub async fn answer(&mut self) -> Answer {
        let (mut bytes, mut sizes) = (Vec::new(), Vec::new());
        loop {
            let up = tokio::time::timeout(PATIENCE, self.stream.up.message()).await;
            let Ok(Some(up)) = up.expect("an agent answers, refuses or goes") else { return Answer::Gone };
            match up.part.expect("an agent says something") {
                secure_up::Part::Join(_) => panic!("a second join on one stream"),
                secure_up::Part::Refused(rule) => return Answer::Refused(rule),
                secure_up::Part::Message(part) => {
                    sizes.push(part.bytes.len());
                    bytes.extend_from_slice(&part.bytes);
                    if part.last {
                        // Magic, then the kind.
                        self.heard.push((bytes[4], sizes.clone()));
                        self.messages.push(bytes.clone());
                        return Answer::Message(bytes, sizes);
                    }
                }
            }
        }
    }

    /// The next message of the agent, of this kind.
    ///
    /// # Errors
    /// It refused, or went.
    ///
    /// # Panics
    /// It said something else.
    pub async fn expect<M: Message>(&mut self) -> Result<M, NoAnswer> {
        match self.answer().await {
            Answer::Message(bytes, _) => {
                Ok(M::from_bytes(&bytes).unwrap_or_else(|error| panic!("expected {}: {error}", M::NAME)))
            }
            other => Err(NoAnswer(other)),
        }
    }
}

fn parts(bytes: &[u8]) -> Vec<wire::SecurePart> {
    let count = bytes.len().div_ceil(PART_BYTES).max(1);
    let mut chunks = bytes.chunks(PART_BYTES);
    (1..=count)
        .map(|at| wire::SecurePart {
            bytes: chunks.next().unwrap_or_default().to_vec().into(),
            last: at == count,
        })
        .collect()
}
