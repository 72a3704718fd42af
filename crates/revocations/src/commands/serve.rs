//! `serve`: the service.

use super::{config, fail, open};
use crate::{Exit, Files};
use revocations::clock;
use revocations::config::Config;
use revocations::feed::{Feeds, Refresher};
use revocations::fetch::Client;
use revocations::metrics::Metrics;
use revocations::poll::Poller;
use revocations::receive::Receiver;
use revocations::server::{self, App};
use revocations::store::Database;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// Between two looks for entries and ids that ended.
const SWEEP: Duration = Duration::from_secs(60);
/// How many ids of events are remembered: some 100 MB of database.
const MAX_IDS: u64 = 1_000_000;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let config = match config(&arguments.files) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_writer(std::io::stderr).init();
    for warning in &config.warnings {
        warn!("{warning}");
    }
    // before there is a runtime: the database's client has one of its own
    let store = match open(&config) {
        Ok(store) => store,
        Err(exit) => return exit,
    };
    let (database, thread) = Database::start(store);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("threads cannot be started: {error}")),
    };
    let exit = runtime.block_on(serve(config, database)).unwrap_or_else(|message| fail(&message));
    runtime.shutdown_timeout(Duration::from_secs(1));
    // what was asked of the database is done; and its files are closed
    if thread.join().is_err() {
        return Exit::Failure;
    }
    exit
}

async fn serve(config: Config, database: Database) -> Result<Exit, String> {
    let (config, metrics) = (Arc::new(config), Arc::new(Metrics::new()));
    let client = Client::new().map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let started = Feeds::start(&config, &database, &metrics, clock::now()).await;
    let (feeds, refresher) = started.map_err(|error| error.to_string())?;
    let feeds = Arc::new(feeds);
    let receiver = Arc::new(Receiver::new(&config, &client, &database, &feeds, &metrics));
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|error| format!("`{}` cannot be listened at: {error}", config.listen))?;
    // whoever reads the line may send the signal at once
    let end = ended()?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    let tasks = [
        tokio::spawn(refresh(refresher, Arc::clone(&feeds), Arc::clone(&metrics))),
        tokio::spawn(sweep(database.clone())),
    ];
    let polled = config.sources.iter().filter(|source| source.poll.is_some());
    let pollers = polled.map(|source| tokio::spawn(Poller::new(source, &client, &receiver, &metrics).run()));
    let tasks: Vec<_> = tasks.into_iter().chain(pollers).collect();
    server::serve(listener, App { config, receiver, database, feeds, metrics }, end).await;
    for task in tasks {
        task.abort();
    }
    info!("ended");
    Ok(Exit::Fine)
}

fn ended() -> Result<impl Future<Output = ()>, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn refresh(mut refresher: Refresher, feeds: Arc<Feeds>, metrics: Arc<Metrics>) {
    loop {
        feeds.wait().await;
        if let Err(failure) = refresher.refresh(&feeds, &metrics, clock::now()).await {
            metrics.database.inc();
            error!("feeds could not be brought up to date: {failure}");
        }
    }
}

async fn sweep(database: Database) {
    loop {
        let now = clock::now().wall.as_secs();
        if let Err(failure) = database.run(move |rows| rows.sweep(now, MAX_IDS)).await {
            warn!("what ended could not be deleted: {failure}");
        }
        tokio::time::sleep(SWEEP).await;
    }
}
