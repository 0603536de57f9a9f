//! The one writer of our tables: what is asked of it while a statement is under way goes into the next one.
//!
//! Under load a statement carries the wishes or the ends of many JobConfigs; idle, nothing is written. Wishes go
//! first, for Jobs wait for them; notes go last, for nobody does.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::{
    decide::{outcome::JobName, run::event::WishAnswer},
    store::{
        error::StoreError,
        rows::{EndRow, NoteRow, WishRow},
        stored::Stored,
    },
};

/// Orders of one kind that wait; who brings more waits.
const ORDERS_MAX: usize = 1024;

/// Orders that are taken up together.
const ORDERS_AT_ONCE: usize = 64;

/// Rows of one statement, but for an order that has more.
const ROWS_AT_ONCE: usize = 128;

/// Rows to be written together, and who waits for it.
struct Order<R: Written> {
    rows: Vec<R>,
    answer: oneshot::Sender<Answer<R::Answer>>,
}

type Answer<A> = Result<Arc<A>, Arc<StoreError>>;

type WishAnswers = BTreeMap<JobName, WishAnswer>;

/// Where orders are left. Clones lead to the same writer.
#[derive(Clone, Debug)]
pub struct Writer {
    wishes: mpsc::Sender<Order<WishRow>>,
    ends: mpsc::Sender<Order<EndRow>>,
    notes: mpsc::Sender<Order<NoteRow>>,
}

/// Rows of one kind, written in one statement.
trait Written: Clone + Send + Sync {
    type Answer: Send + Sync;

    fn write(tables: &Stored, rows: &[Self]) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

impl Written for WishRow {
    type Answer = WishAnswers;

    async fn write(tables: &Stored, rows: &[Self]) -> Result<WishAnswers, StoreError> {
        tables.runs.write_wishes(rows).await
    }
}

impl Written for EndRow {
    type Answer = ();

    async fn write(tables: &Stored, rows: &[Self]) -> Result<(), StoreError> {
        tables.runs.write_ends(rows).await
    }
}

impl Written for NoteRow {
    type Answer = ();

    async fn write(tables: &Stored, rows: &[Self]) -> Result<(), StoreError> {
        tables.decisions.write_notes(rows).await
    }
}

/// The task behind [`Writer`].
pub struct WriterTask {
    tables: Stored,
    wishes: mpsc::Receiver<Order<WishRow>>,
    ends: mpsc::Receiver<Order<EndRow>>,
    notes: mpsc::Receiver<Order<NoteRow>>,
}

impl Writer {
    /// A writer, and the task that it needs to be run.
    pub fn new(tables: Stored) -> (Self, WriterTask) {
        let (wishes, wishes_behind) = mpsc::channel(ORDERS_MAX);
        let (ends, ends_behind) = mpsc::channel(ORDERS_MAX);
        let (notes, notes_behind) = mpsc::channel(ORDERS_MAX);
        let task = WriterTask { tables, wishes: wishes_behind, ends: ends_behind, notes: notes_behind };
        (Self { wishes, ends, notes }, task)
    }

    /// Writes wishes, and returns what became of each; the answer may have others in it, too.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn wishes(&self, rows: Vec<WishRow>) -> Answer<WishAnswers> {
        ordered(&self.wishes, rows).await
    }

    /// Records how a run ended. A run that has ended keeps its first end.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end(&self, row: EndRow) -> Answer<()> {
        ordered(&self.ends, vec![row]).await
    }

    /// Writes notes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn notes(&self, rows: Vec<NoteRow>) -> Answer<()> {
        ordered(&self.notes, rows).await
    }
}

async fn ordered<R: Written>(orders: &mpsc::Sender<Order<R>>, rows: Vec<R>) -> Answer<R::Answer> {
    let (answer, answered) = oneshot::channel();
    let gone = |()| Arc::new(StoreError::WriterGone);
    orders.send(Order { rows, answer }).await.map_err(|_| gone(()))?;
    answered.await.map_err(|_| gone(()))?
}

impl WriterTask {
    /// Writes until every [`Writer`] is gone.
    pub async fn run(mut self) {
        let (mut wishes, mut ends, mut notes) = (vec![], vec![], vec![]);
        loop {
            // No arm is cut off: the other two lose nothing when one of them is ready.
            tokio::select! {
                biased;
                1.. = self.wishes.recv_many(&mut wishes, ORDERS_AT_ONCE) => write_all(&self.tables, &mut wishes).await,
                1.. = self.ends.recv_many(&mut ends, ORDERS_AT_ONCE) => write_all(&self.tables, &mut ends).await,
                1.. = self.notes.recv_many(&mut notes, ORDERS_AT_ONCE) => write_all(&self.tables, &mut notes).await,
                else => return,
            }
        }
    }
}

/// All orders, in as few statements as they fill.
async fn write_all<R: Written>(tables: &Stored, orders: &mut Vec<Order<R>>) {
    let mut together: Vec<Order<R>> = vec![];
    for order in orders.drain(..) {
        let rows: usize = together.iter().map(|order| order.rows.len()).sum();
        if rows > 0 && rows + order.rows.len() > ROWS_AT_ONCE {
            write_together(tables, std::mem::take(&mut together)).await;
        }
        together.push(order);
    }
    write_together(tables, together).await;
}

/// Orders in one statement; if Postgres refuses that, each in one of its own, so that none spoils the others.
async fn write_together<R: Written>(tables: &Stored, orders: Vec<Order<R>>) {
    let rows: Vec<R> = orders.iter().flat_map(|order| order.rows.iter().cloned()).collect();
    let result = R::write(tables, &rows).await.map(Arc::new).map_err(Arc::new);
    let refused = orders.len() > 1 && result.as_ref().is_err_and(|error| error.is_refusal());
    for order in orders {
        let answer = match (refused, &result) {
            (true, _) => R::write(tables, &order.rows).await.map(Arc::new).map_err(Arc::new),
            (false, result) => result.clone(),
        };
        if order.answer.send(answer).is_err() {
            tracing::debug!("nobody waits for this answer any more");
        }
    }
}
