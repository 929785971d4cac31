//! Transactions that each must come before the other: `g1c`.
//!
//! One comes before another if the other read what it wrote (write-read), or if it was over before the other began
//! (real time). Write-write order is left out: it is allowed to differ between partitions. Real time would give an edge
//! for nearly every pair; a chain of instants, one for each end, gives the same order with two edges for each.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::subjects::{Answer, EventId, Subjects};
use super::transactions::{TransactionId, Transactions};
use super::values::{Fate, Value, Values, fate};
use crate::event::Event;
use crate::operation::{Call, Isolation, Operation};
use crate::text::Text;
use crate::verdict::Rule;

/// What is ordered: a transaction, or an operation outside of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Transaction(TransactionId),
    Operation(EventId),
}

/// Collects who read from whom, partition by partition.
#[derive(Debug)]
pub(super) struct Dependencies {
    /// Without a transaction that reads there is no cycle that is not already a phantom.
    is_needed: bool,
    /// Writer and reader.
    edges: Vec<(Subject, Subject)>,
}

impl Dependencies {
    pub(super) fn new(subjects: &Subjects<'_>, transactions: &Transactions) -> Self {
        let reads_in_transaction = |id: &EventId| match &subjects.event(*id).operation {
            Operation::Fetch(call) => call.args.transaction.is_some(),
            _ => false,
        };
        let is_needed = transactions.count() > 0 && subjects.in_order.iter().any(reads_in_transaction);
        Self { is_needed, edges: Vec::new() }
    }

    /// Takes in who read what in one partition. What a `read_uncommitted` reader saw of a transaction orders nothing.
    pub(super) fn take(&mut self, transactions: &Transactions, values: &Values<'_>, answer: &Answer<'_>) {
        if !self.is_needed {
            return;
        }
        let reader = match &answer.args.transaction {
            Some(name) => match transactions.find(name) {
                Some(id) => Subject::Transaction(id),
                None => return,
            },
            None => Subject::Operation(answer.id),
        };
        for record in &answer.result.records {
            let Some(value) = values.find(&record.value).map(|id| values.get(id)) else { continue };
            if value.transaction.is_some() && answer.args.isolation != Isolation::ReadCommitted {
                continue;
            }
            let edge = (writer(value), reader);
            if edge.0 != edge.1 && self.edges.last() != Some(&edge) {
                self.edges.push(edge);
            }
        }
    }

    /// Judges the whole history, when all partitions are in.
    pub(super) fn judge(
        self,
        findings: &mut Findings<'_, '_>,
        subjects: &Subjects<'_>,
        transactions: &Transactions,
    ) {
        if self.is_needed {
            let graph = Graph::new(subjects, transactions, self.edges);
            for circle in graph.circles() {
                graph.accuse(findings, transactions, &circle);
            }
        }
    }
}

fn writer(value: &Value<'_>) -> Subject {
    value.transaction.map_or(Subject::Operation(value.send), Subject::Transaction)
}

/// When a subject began and was over, and an event to show for it.
#[derive(Debug, Clone, Copy)]
struct Span {
    subject: Subject,
    began_ns: u64,
    over_ns: u64,
    shown_by: EventId,
}

/// Vertices are the spans, ascending by their beginning, and after them the instants at which spans were over,
/// ascending in time.
struct Graph {
    spans: Vec<Span>,
    next: Vec<Vec<usize>>,
}

impl Graph {
    fn new(subjects: &Subjects<'_>, transactions: &Transactions, edges: Vec<(Subject, Subject)>) -> Self {
        let spans = spans(subjects, transactions);
        let places: BTreeMap<Subject, usize> =
            spans.iter().enumerate().map(|(place, span)| (span.subject, place)).collect();
        let mut ends: Vec<(u64, usize)> = spans
            .iter()
            .enumerate()
            .filter(|(_, span)| span.over_ns < u64::MAX)
            .map(|(place, span)| (span.over_ns, place))
            .collect();
        ends.sort_unstable();
        let mut next = vec![Vec::new(); spans.len() + ends.len()];
        let mut link = |from: usize, to: usize| {
            if let Some(targets) = next.get_mut(from) {
                targets.push(to);
            }
        };
        for (writer, reader) in edges {
            if let (Some(writer), Some(reader)) = (places.get(&writer), places.get(&reader)) {
                link(*writer, *reader);
            }
        }
        for (instant, (_, place)) in ends.iter().enumerate() {
            link(*place, spans.len() + instant);
            if instant + 1 < ends.len() {
                link(spans.len() + instant, spans.len() + instant + 1);
            }
        }
        for (place, span) in spans.iter().enumerate() {
            let over_before = ends.partition_point(|(over_ns, _)| *over_ns < span.began_ns);
            if let Some(instant) = over_before.checked_sub(1) {
                link(spans.len() + instant, place);
            }
        }
        Self { spans, next }
    }

    fn targets(&self, vertex: usize) -> &[usize] {
        self.next.get(vertex).map_or(&[], Vec::as_slice)
    }

    /// One circle of each strongly connected part that holds more than one span, as vertices in order.
    fn circles(&self) -> Vec<Vec<usize>> {
        let part_of = self.parts();
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (vertex, part) in part_of.iter().enumerate().take(self.spans.len()) {
            members.entry(*part).or_default().push(vertex);
        }
        members
            .into_values()
            .filter(|members| members.len() > 1)
            .filter_map(|members| self.shortest_circle(*members.first()?, &part_of))
            .collect()
    }

    /// Strongly connected parts, by Tarjan's algorithm without recursion: the number of its part for each vertex.
    /// All tables have one place for each vertex, and edges lead to vertices only.
    fn parts(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let count = self.next.len();
        let mut part_of = vec![UNSEEN; count];
        let (mut order, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let (mut stack, mut path): (Vec<usize>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
        let (mut seen, mut parts) = (0, 0);
        for root in 0..count {
            if order[root] == UNSEEN {
                path.push((root, 0));
            }
            while let Some((vertex, tried)) = path.pop() {
                if tried == 0 {
                    (order[vertex], low[vertex]) = (seen, seen);
                    seen += 1;
                    stack.push(vertex);
                }
                if let Some(&target) = self.targets(vertex).get(tried) {
                    path.push((vertex, tried + 1));
                    if order[target] == UNSEEN {
                        path.push((target, 0));
                    } else if part_of[target] == UNSEEN {
                        low[vertex] = low[vertex].min(order[target]);
                    }
                    continue;
                }
                if low[vertex] == order[vertex] {
                    while let Some(member) = stack.pop() {
                        part_of[member] = parts;
                        if member == vertex {
                            break;
                        }
                    }
                    parts += 1;
                }
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[vertex]);
                }
            }
        }
        part_of
    }

    /// Breadth first from a vertex back to itself, within its part.
    fn shortest_circle(&self, start: usize, part_of: &[usize]) -> Option<Vec<usize>> {
        let part = part_of.get(start)?;
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(vertex) = queue.pop_front() {
            for &target in self.targets(vertex) {
                if target == start {
                    let mut circle = vec![vertex];
                    let mut at = vertex;
                    while at != start {
                        at = *came_from.get(&at)?;
                        circle.push(at);
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if part_of.get(target) == Some(part) && !came_from.contains_key(&target) {
                    came_from.insert(target, vertex);
                    queue.push_back(target);
                }
            }
        }
        None
    }

    fn accuse(&self, findings: &mut Findings<'_, '_>, transactions: &Transactions, circle: &[usize]) {
        let name = |span: &Span| match span.subject {
            Subject::Transaction(id) => format!("{:?}", transactions.get(id).name),
            Subject::Operation(_) => "an operation outside of transactions".to_owned(),
        };
        let mut events = Vec::new();
        let mut sentences = Vec::new();
        let mut pending: Option<(&Span, bool)> = None;
        for vertex in circle.iter().chain(circle.first()) {
            let Some(span) = self.spans.get(*vertex) else {
                // An instant: the way from the last span leads through real time.
                pending = pending.map(|(from, _)| (from, true));
                continue;
            };
            events.push(span.shown_by);
            if let Some((from, is_real_time)) = pending {
                let verb = if is_real_time { "was over before the beginning of" } else { "was read by" };
                sentences.push(format!("{} {verb} {}", name(from), name(span)));
            }
            pending = Some((span, false));
        }
        events.pop();
        findings.accuse(Rule::G1c, &Text::default(), &events, || Story {
            what: format!("Transactions depend on each other in a circle: {}", sentences.join("; ")),
            expected: "one order in which every transaction reads only from earlier ones".to_owned(),
        });
    }
}

/// The spans of all that is ordered, ascending by beginning. Aborted transactions are not: nobody may read them.
fn spans(subjects: &Subjects<'_>, transactions: &Transactions) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut of_transaction: BTreeMap<TransactionId, Span> = BTreeMap::new();
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        let Some((transaction, over_ns)) = role(event) else { continue };
        let Some(transaction) = transaction.and_then(|name| transactions.find(name)) else {
            if let Some(over_ns) = over_ns {
                let subject = Subject::Operation(id);
                spans.push(Span { subject, began_ns: event.invoked_ns, over_ns, shown_by: id });
            }
            continue;
        };
        let whole = transactions.get(transaction);
        if whole.is_aborted() {
            continue;
        }
        of_transaction.entry(transaction).or_insert(Span {
            subject: Subject::Transaction(transaction),
            began_ns: event.invoked_ns,
            over_ns: whole.committed.map_or(u64::MAX, |end| subjects.returned_ns(end)),
            shown_by: whole.commit.unwrap_or(id),
        });
    }
    spans.extend(of_transaction.into_values());
    spans.sort_by_key(|span| span.began_ns);
    spans
}

/// Transaction of an event that takes part in the order, and when the event is over if it stands alone.
fn role(event: &Event) -> Option<(Option<&Text>, Option<u64>)> {
    match &event.operation {
        Operation::Begin(call) => Some((Some(&call.args.transaction), None)),
        Operation::Send(Call { args, .. }) => match fate(event, args) {
            Fate::Failed => None,
            Fate::Acknowledged => Some((args.transaction.as_ref(), Some(event.settled_ns()))),
            Fate::Provisional | Fate::Unknown => Some((args.transaction.as_ref(), Some(u64::MAX))),
        },
        Operation::Fetch(Call { args, .. }) if event.is_ok() => {
            Some((args.transaction.as_ref(), Some(event.settled_ns())))
        }
        _ => None,
    }
}
