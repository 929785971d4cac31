//! Log lines by node: captured into a bounded ring per node, and fed to whoever subscribed.
//!
//! A thread knows whose work it does at the moment (`LogScope`), which costs two thread-local writes per poll instead
//! of a span. The layer is installed once per process, at the first start of a cluster; a subscriber that is already
//! there stays, and then nothing is captured.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Once};
use std::time::{SystemTime, UNIX_EPOCH};

use chronik_wire::types::NodeId;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::limits;

/// One captured log line.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Milliseconds since the Unix epoch, real time.
    pub at_ms: i64,
    /// Name of the cluster; empty for a line that belongs to none.
    pub cluster: Arc<str>,
    /// The node, if the line belongs to one.
    pub node: Option<NodeId>,
    /// Severity.
    pub level: Level,
    /// The module or named target it comes from.
    pub target: &'static str,
    /// The text, fields included.
    pub message: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.message)
    }
}

/// The lines of one node, or of a cluster's own work.
#[derive(Debug)]
pub(crate) struct NodeLog {
    cluster: Arc<str>,
    node: Option<NodeId>,
    lines: Mutex<VecDeque<LogLine>>,
}

impl NodeLog {
    /// An empty log.
    pub(crate) fn new(cluster: &str, node: Option<NodeId>) -> Arc<NodeLog> {
        Arc::new(NodeLog { cluster: Arc::from(cluster), node, lines: Mutex::new(VecDeque::new()) })
    }

    /// The lines kept, oldest first.
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().iter().cloned().collect()
    }

    fn push(&self, line: LogLine) {
        let mut lines = self.lines.lock();
        if lines.len() == limits::LOG_LINES_PER_NODE {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<NodeLog>>> = const { RefCell::new(None) };
}

/// While it lives, lines of this thread belong to a node.
pub(crate) struct LogScope {
    before: Option<Arc<NodeLog>>,
}

impl LogScope {
    /// From here on lines of this thread are `log`'s.
    pub(crate) fn enter(log: &Arc<NodeLog>) -> LogScope {
        let before = CURRENT.with(|current| current.borrow_mut().replace(Arc::clone(log)));
        LogScope { before }
    }
}

impl Drop for LogScope {
    fn drop(&mut self) {
        let before = self.before.take();
        // During thread exit the slot may be gone already; then there is nothing to restore.
        let _ = CURRENT.try_with(|current| *current.borrow_mut() = before);
    }
}

static FEED: Mutex<Option<SyncSender<LogLine>>> = Mutex::new(None);
static FEED_DROPPED: AtomicU64 = AtomicU64::new(0);

/// Every line from now on also goes to the returned queue, of `limits::LOG_FEED_LINES_MAX` lines; what does not fit is
/// dropped and counted. A later call replaces the earlier queue.
pub fn subscribe_logs() -> Receiver<LogLine> {
    let (sender, receiver) = sync_channel(limits::LOG_FEED_LINES_MAX);
    *FEED.lock() = Some(sender);
    receiver
}

/// Ends the feed: the receiver of `subscribe_logs` sees its end once it has taken what is queued.
pub fn unsubscribe_logs() {
    *FEED.lock() = None;
}

/// Lines that found the feed full.
pub fn log_lines_dropped() -> u64 {
    FEED_DROPPED.load(Ordering::Relaxed)
}

/// The layer that captures lines; for programs that compose a subscriber of their own.
#[derive(Debug)]
pub struct NodeLogLayer {
    level: LevelFilter,
}

impl NodeLogLayer {
    /// Captures lines of `level` and above.
    pub fn new(level: LevelFilter) -> NodeLogLayer {
        NodeLogLayer { level }
    }
}

impl<S: Subscriber> Layer<S> for NodeLogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = LineText::default();
        event.record(&mut text);
        let log = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = LogLine {
            at_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            cluster: log.as_ref().map_or_else(|| Arc::from(""), |log| Arc::clone(&log.cluster)),
            node: log.as_ref().and_then(|log| log.node),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            message: text.finish(),
        };
        if let Some(feed) = FEED.lock().as_ref()
            && let Err(TrySendError::Full(_)) = feed.try_send(line.clone())
        {
            FEED_DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(log) = log {
            log.push(line);
        }
    }
}

/// Installs the capture as the process's subscriber, once. A subscriber that is already there stays.
pub(crate) fn install_capture() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(NodeLogLayer::new(LevelFilter::INFO));
        // Somebody else's subscriber takes the lines then; node logs stay empty, which their documentation says.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

/// The message first, then ` name=value` for every field.
#[derive(Default)]
struct LineText {
    message: String,
    fields: String,
}

impl LineText {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        if self.message.len() > limits::LOG_LINE_BYTES_MAX {
            let mut end = limits::LOG_LINE_BYTES_MAX;
            while !self.message.is_char_boundary(end) {
                end -= 1;
            }
            self.message.truncate(end);
            self.message.push('…');
        }
        self.message
    }
}

impl Visit for LineText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value}")
        } else {
            write!(self.fields, " {}={value}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(work: impl FnOnce()) {
        let subscriber = tracing_subscriber::registry().with(NodeLogLayer::new(LevelFilter::INFO));
        tracing::subscriber::with_default(subscriber, work);
    }

    #[test]
    fn lines_go_to_the_node_whose_work_it_is() {
        let (one, two) = (NodeLog::new("c", Some(NodeId(1))), NodeLog::new("c", Some(NodeId(2))));
        captured(|| {
            let outer = LogScope::enter(&one);
            tracing::info!(topic = "orders", "first");
            {
                let _inner = LogScope::enter(&two);
                tracing::warn!("second");
            }
            tracing::info!("third");
            tracing::debug!("below the level");
            drop(outer);
            tracing::info!("nobody's");
        });
        let texts: Vec<String> = one.lines().into_iter().map(|line| line.message).collect();
        assert_eq!(texts, ["first topic=orders", "third"]);
        assert_eq!(two.lines().len(), 1);
        assert_eq!(two.lines()[0].level, Level::WARN);
    }

    #[test]
    fn a_ring_keeps_the_newest_lines_and_long_lines_are_cut() {
        let log = NodeLog::new("c", None);
        captured(|| {
            let _scope = LogScope::enter(&log);
            for number in 0..limits::LOG_LINES_PER_NODE + 1 {
                tracing::info!("line {number}");
            }
            tracing::info!("{}", "ü".repeat(limits::LOG_LINE_BYTES_MAX));
        });
        let lines = log.lines();
        assert_eq!(lines.len(), limits::LOG_LINES_PER_NODE);
        assert_eq!(lines[0].message, "line 2");
        assert!(lines.last().unwrap().message.len() <= limits::LOG_LINE_BYTES_MAX + '…'.len_utf8());
    }
}
