//! The thread that speaks to the database, and how everything else asks it to.

use super::{Rows, Store, StoreError, transact};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait for the database; those beyond wait for a place.
const QUEUE: usize = 256;
/// How long anybody waits for the database in all.
const PATIENCE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// A handle on the database, for asynchronous code; clones share it. The thread ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct Database(mpsc::Sender<Job>);

impl Database {
    /// Gives the database a thread of its own, whose handle tells when it has ended.
    #[must_use]
    pub fn start(mut store: Box<dyn Store>) -> (Self, std::thread::JoinHandle<()>) {
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let thread = std::thread::spawn(move || {
            while let Some(job) = jobs.blocking_recv() {
                job(store.as_mut());
            }
        });
        (Self(sender), thread)
    }

    /// Does `work` in one transaction; see [`Store::transact`].
    ///
    /// # Errors
    /// Those of `work`, the database's, and [`StoreError::Busy`] after ten seconds: whether it was done is not known then.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Rows) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            // who asked may have gone
            let _ = answer.send(transact(store, work));
        });
        let asked = async {
            self.0.send(job).await.map_err(|_| StoreError::Busy)?;
            answered.await.map_err(|_| StoreError::Busy)?
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(StoreError::Busy))
    }
}
