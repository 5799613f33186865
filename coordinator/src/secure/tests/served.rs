//! The served stream, with certificates, a store on disk and the protocol's own messages: only TLS is left
//! out, its connection says who is at the other end.

use super::site::Site;
use super::{GROUPINGS, ROUNDS, SITES, approval, key, name, study_file};
use crate::api::federation::FederationApi;
use crate::clock::now;
use crate::driver;
use crate::home::{Config, Home};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::secure::{Down, Seat, by_name};
use crate::store::Store;
use crate::study::{Phase, StudyEvent};
use consilium_common::id::Digest;
use consilium_common::model::{blob, initial};
use consilium_common::secagg::message::{MaskedInput, Message as _};
use consilium_common::secagg::{Slot, SumRecord};
use consilium_common::study::parse;
use consilium_common::study::secure::{Summed, agreement};
use consilium_common::tls;
use consilium_proto::v1::federation_client::FederationClient;
use consilium_proto::v1::federation_server::FederationServer;
use consilium_proto::v1::{self as wire, next_task_response, secure_down, secure_open, secure_up};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

struct Wire(DuplexStream, Arc<[u8]>);

impl Connected for Wire {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        Peer { certificate: Some(Arc::clone(&self.1)) }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Where sites dial; the running coordinator takes from it.
type Door = Arc<Mutex<Option<mpsc::Sender<std::io::Result<Wire>>>>>;

/// On a runtime of its own, as a process is: killed with it are the tasks of its open connections too.
struct Running {
    hub: Arc<Hub>,
    runtime: Runtime,
}

impl Running {
    fn start(folder: &Path, door: &Door) -> Self {
        let home = Home::open(folder).expect("made");
        let certificate = home.read("identity/ca.crt").expect("made");
        let der = tls::certificates_from_pem(certificate.as_bytes()).expect("PEM").remove(0);
        let (authority, store) = (home.authority().expect("loads"), Store::open(folder).expect("opens"));
        let hub = Arc::new(Hub::open(store, key("z"), authority, der.to_vec()).expect("replays"));
        let (connect, connections) = mpsc::channel(16);
        *door.lock().expect("no panic") = Some(connect);
        let federation = FederationApi { hub: Arc::clone(&hub), ledgers: folder.join("ledgers") };
        let server = Server::builder()
            .add_service(FederationServer::new(federation))
            .serve_with_incoming(ReceiverStream::new(connections));
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        runtime.spawn(async move { server.await.expect("serves") });
        runtime.spawn(driver::drive(Arc::clone(&hub), home));
        Self { hub, runtime }
    }

    /// As a process that is killed: nothing more is written.
    async fn kill(self, door: &Door) {
        *door.lock().expect("no panic") = None;
        let stop = move || self.runtime.shutdown_timeout(PATIENCE);
        tokio::task::spawn_blocking(stop).await.expect("stops");
    }
}

fn dial(door: &Door, certificate: &Arc<[u8]>) -> FederationClient<Channel> {
    let (door, certificate) = (Arc::clone(door), Arc::clone(certificate));
    let connect = tower::service_fn(move |_: http::Uri| {
        let (door, certificate) = (door.lock().expect("no panic").clone(), Arc::clone(&certificate));
        async move {
            let (client, server) = tokio::io::duplex(1 << 16);
            let closed = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            let door = door.ok_or_else(closed)?;
            door.send(Ok(Wire(server, certificate))).await.map_err(|_| closed())?;
            Ok::<_, std::io::Error>(TokioIo::new(client))
        }
    });
    FederationClient::new(
        Endpoint::from_static("http://coordinator.local").connect_with_connector_lazy(connect),
    )
}

/// What a site's stream does beside answering.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Honest,
    /// Its stream breaks once, with its first masked vector of a round after the first.
    BreaksOnce,
}

/// Asks for tasks and takes part until the study closes.
async fn attend(
    mut site: Site,
    door: Door,
    certificate: Arc<[u8]>,
    habit: Habit,
    groupings: Vec<String>,
) -> Site {
    let mut broke = habit == Habit::Honest;
    loop {
        let mut client = dial(&door, &certificate);
        let Ok(task) = client.next_task(wire::NextTaskRequest { wait_ms: 1000 }).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        match task.into_inner().task {
            Some(next_task_response::Task::Sum(task)) => {
                site.forget();
                broke |= stream(&mut site, &mut client, &task.study, broke, &groupings).await;
            }
            Some(next_task_response::Task::Close(_)) => return site,
            Some(_) => panic!("a plain task in a distributed study"),
            None => {}
        }
    }
}

/// One stream to its end; whether the site broke it.
async fn stream(
    site: &mut Site,
    client: &mut FederationClient<Channel>,
    study: &[u8],
    broke: bool,
    groupings: &[String],
) -> bool {
    let (up, parts) = mpsc::channel(16);
    let join = secure_up::Part::Join(wire::SecureJoin { study: study.to_vec().into() });
    up.send(wire::SecureUp { part: Some(join) }).await.expect("open");
    let Ok(down) = client.secure_sum(ReceiverStream::new(parts)).await else { return false };
    let mut down = down.into_inner();
    let (mut message, mut model) = (Vec::new(), Vec::new());
    while let Ok(Some(wire::SecureDown { part: Some(part) })) = down.message().await {
        let down = match part {
            secure_down::Part::Open(open) => {
                let summed = match open.sums.expect("says what") {
                    secure_open::Sums::Training(_) => Summed::Training,
                    secure_open::Sums::Grouping(name) => {
                        let at =
                            groupings.iter().position(|grouping| *grouping == name).expect("the study's");
                        Summed::Grouping(u32::try_from(at).expect("few") + 1)
                    }
                };
                Down::Open { number: open.number, summed }
            }
            secure_down::Part::Share(share) => Down::Share(Slot { step: share.step, attempt: share.attempt }),
            secure_down::Part::Message(part) => {
                message.extend_from_slice(&part.bytes);
                if !part.last {
                    continue;
                }
                Down::Message(std::mem::take(&mut message).into())
            }
            secure_down::Part::Model(part) => {
                model.extend_from_slice(&part.bytes);
                if !part.last {
                    continue;
                }
                Down::Model(std::mem::take(&mut model).into())
            }
        };
        let Some(answer) = site.receive(&down) else { continue };
        if !broke && answer[4] == MaskedInput::KIND && site.masked.len() > 1 {
            return true;
        }
        // In parts of a size that divides nothing.
        let chunks: Vec<&[u8]> = answer.chunks(101).collect();
        for (at, chunk) in chunks.iter().enumerate() {
            let part = wire::SecurePart { bytes: chunk.to_vec().into(), last: at + 1 == chunks.len() };
            let part = wire::SecureUp { part: Some(secure_up::Part::Message(part)) };
            if up.send(part).await.is_err() {
                return false;
            }
        }
    }
    false
}

/// A folder with an authority, enrolled sites and the started study; the sites' certificates.
fn consortium(folder: &Path, door: &Door) -> (Running, Digest, Vec<Arc<[u8]>>) {
    let host = "127.0.0.1".to_owned();
    let config = Config {
        schema: "coordinator/1".into(),
        listen: host.clone() + ":0",
        host: host.clone(),
        public_port: None,
    };
    Home::create(folder, config, &[host], now()).expect("made");
    let running = Running::start(folder, door);
    let hub = &running.hub;
    let mut certificates = Vec::new();
    for site in SITES {
        let request_key = KeyPair::generate().expect("a key");
        let request = CertificateParams::default().serialize_request(&request_key).expect("a request");
        let certificate = hub.authority.site(&name(site), request.der(), now()).expect("signed");
        let expires = now().plus_ms(1_000_000);
        hub.change_registry(|registry, now| Ok(registry.invite(name(site), b"once", expires, now)))
            .expect("invites");
        let fingerprint = tls::fingerprint(&certificate);
        hub.change_registry(|registry, now| {
            registry.enroll(&name(site), b"once", fingerprint, key(site).public(), now)
        })
        .expect("enrols");
        certificates.push(Arc::from(certificate.as_ref()));
    }
    let file = study_file(4, 1);
    let digest = hub.publish(file.as_bytes()).expect("published");
    for site in SITES {
        let approval = approval(&hub.study(&digest).expect("there"), site);
        hub.change_study(&digest, |state, now| state.decide_approval(&name(site), approval, now))
            .expect("approves");
    }
    let architecture = parse(file.as_bytes()).expect("valid").architecture();
    let values = initial::initial_parameters(&architecture, &digest);
    let header = blob::ModelHeader { schema: "model/1".into(), study: digest, round: 0, architecture };
    let model = hub.blobs.put(&blob::encode(&header, &values)).expect("writes");
    hub.start(&digest, model).expect("starts");
    (running, digest, certificates)
}

fn attending(
    hub: &Hub,
    study: &Digest,
    site: usize,
    habit: Habit,
    door: &Door,
    certificate: &Arc<[u8]>,
) -> JoinHandle<Site> {
    let state = hub.study(study).expect("there");
    let file = Arc::new(state.study);
    let groupings = file.groupings();
    let site = Site::new(SITES[site], file, &state.participants);
    tokio::spawn(attend(site, Arc::clone(door), Arc::clone(certificate), habit, groupings))
}

async fn until(hub: &Hub, study: &Digest, done: impl Fn(&crate::study::StudyState) -> bool) {
    let mut changes = hub.changes();
    let wait = async {
        while !hub.with_study(study, &done).expect("there") {
            changes.changed().await.expect("the hub lives");
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("not for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_study_with_a_dropout_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let door = Door::default();
    let (running, study, certificates) = consortium(folder.path(), &door);
    let mut sites = Vec::new();
    for (at, certificate) in certificates.iter().enumerate() {
        let habit = if at == 2 { Habit::BreaksOnce } else { Habit::Honest };
        sites.push(attending(&running.hub, &study, at, habit, &door, certificate));
    }
    until(&running.hub, &study, |state| state.sums.len() >= 2).await;
    running.kill(&door).await;
    let running = Running::start(folder.path(), &door);
    until(&running.hub, &study, |state| matches!(state.phase, Phase::Closing { .. })).await;

    let state = running.hub.study(&study).expect("there");
    assert!(matches!(&state.phase, Phase::Closing { reason, .. } if reason == "finished"));
    assert_eq!((state.sums.len() as u32, state.grouping_sums.len() as u32), (ROUNDS, GROUPINGS));
    let mut attended = Vec::new();
    for site in sites {
        attended.push(tokio::time::timeout(PATIENCE, site).await.expect("ends").expect("no panic"));
    }
    let roster = by_name(&state.study, &state.participants);
    let training = (0_u32..).zip(&state.sums).map(|(step, closed)| (Summed::Training, step, closed));
    let groupings = state.grouping_sums.iter().map(|(e, closed)| (Summed::Grouping(*e), *e, closed));
    for (summed, step, closed) in training.chain(groupings) {
        let (record, sum) = SumRecord::decode(&running.hub.blob(&closed.sum).expect("kept")).expect("a sum");
        let agreement = agreement(&state.study, &roster, summed).expect("agrees");
        record.transcript(&agreement, &sum).expect("signed by enough");
        let mut expected = vec![0; sum.len()];
        for survivor in &closed.survivors {
            let site = attended.iter().find(|site| site.name == *survivor).expect("it attended");
            let masked = &site.masked[&(summed.earmark(), step, closed.attempt)];
            expected.iter_mut().zip(masked).for_each(|(sum, value)| *sum += value);
        }
        assert!(sum == expected, "step {step} of {summed:?}");
    }
    let events = running.hub.events(&study, 0).expect("reads");
    let interrupted = |event: &&StudyEvent| matches!(event, StudyEvent::AttemptFailed { .. });
    assert!(events.iter().filter(interrupted).count() >= 1, "the restart is in the log");
    running.kill(&door).await;
}

/// What a site may not do on its stream, or beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_wire_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let door = Door::default();
    let (running, study, certificates) = consortium(folder.path(), &door);
    let open = |certificate: &Arc<[u8]>, first: secure_up::Part| {
        let mut client = dial(&door, certificate);
        async move {
            let (up, parts) = mpsc::channel(64);
            up.send(wire::SecureUp { part: Some(first) }).await.expect("open");
            (client.secure_sum(ReceiverStream::new(parts)).await, up)
        }
    };
    let join =
        |digest: Digest| secure_up::Part::Join(wire::SecureJoin { study: digest.as_bytes().to_vec().into() });
    let (refused, _) = open(&certificates[0], secure_up::Part::Refused("x".into())).await;
    assert!(refused.expect_err("no join").message().starts_with("secure.join"));
    let (refused, _) = open(&certificates[0], join(Digest::of(b"other"))).await;
    assert_eq!(refused.expect_err("no such study").code(), tonic::Code::NotFound);
    let (refused, _) = open(&Arc::from(running.hub.authority_certificate.clone()), join(study)).await;
    assert_eq!(refused.expect_err("no site").code(), tonic::Code::Unauthenticated);

    // A message that is longer than any of the study's ends the stream, before it is in memory.
    let (stream, up) = open(&certificates[0], join(study)).await;
    let mut down = stream.expect("joins").into_inner();
    let bytes: prost::bytes::Bytes = vec![0; 1 << 19].into();
    for _ in 0..4 {
        let part = wire::SecurePart { bytes: bytes.clone(), last: false };
        let _ = up.send(wire::SecureUp { part: Some(secure_up::Part::Message(part)) }).await;
    }
    let ended = tokio::time::timeout(PATIENCE, down.message()).await.expect("ends");
    assert!(matches!(ended, Ok(None) | Err(_)), "{ended:?}");

    // A site is on one stream: the second one ends the first.
    let (first, _up) = open(&certificates[1], join(study)).await;
    let mut first = first.expect("joins").into_inner();
    let (second, _up) = open(&certificates[1], join(study)).await;
    let _second = second.expect("joins");
    let ended = tokio::time::timeout(PATIENCE, first.message()).await.expect("ends");
    assert!(matches!(ended, Ok(None) | Err(_)), "{ended:?}");

    // Nothing of one site is taken.
    let header = wire::OutputHeader {
        study: study.as_bytes().to_vec().into(),
        digest: Digest::of(b"update").as_bytes().to_vec().into(),
        length: 6,
        output: Some(wire::output_header::Output::Round(0)),
    };
    let header = wire::OutputPart { part: Some(wire::output_part::Part::Header(header)) };
    let mut client = dial(&door, &certificates[0]);
    let refused = client.submit_output(tokio_stream::once(header)).await.expect_err("distributed");
    assert!(refused.message().starts_with("study.mode"), "{refused}");

    // A site that refuses is noted, and not asked again.
    let (stream, up) = open(&certificates[2], join(study)).await;
    let _down = stream.expect("joins");
    let refused = secure_up::Part::Refused("policy.steps_max".into());
    up.send(wire::SecureUp { part: Some(refused) }).await.expect("open");
    until(&running.hub, &study, |state| {
        state.summing().is_some_and(|open| open.declined.contains(&name(SITES[2])))
    })
    .await;
    let (refused, _) = open(&certificates[2], join(study)).await;
    assert!(refused.expect_err("not asked").message().starts_with("study.phase"));

    // Once no sum is open, a stream that waits ends.
    running.hub.change_study(&study, |state, now| state.decide_stop("over", now)).expect("stops");
    let ((down, mut to_site), (_up, up)) = (mpsc::channel(1), mpsc::channel(1));
    let certificate = tls::fingerprint(&certificates[3]);
    running.hub.lobby.put(study, name(SITES[3]), Seat { certificate, down, up });
    crate::secure::drive(Arc::clone(&running.hub), study).await.expect("nothing to do");
    let ended = tokio::time::timeout(PATIENCE, to_site.recv()).await.expect("ends");
    assert!(ended.is_none(), "{ended:?}");
    running.kill(&door).await;
}
