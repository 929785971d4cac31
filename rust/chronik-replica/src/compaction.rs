//! What the replicated state knows about compaction: the plan in force, and when the next one may drop tombstones.
//!
//! A plan is decided by a leader and applied as an entry; when each replica carries it out is its own affair, since the
//! result does not depend on it. The state says what is to be carried out, the log how far this replica is.

use bytes::BytesMut;
use chronik_log::compaction::{CompactionPlan, CompactionRules};
use chronik_log::{PartitionLog, compaction::CompactedInfo};
use chronik_wire::types::Offset;

use crate::codec::{CodecError, Reader, put_signed, put_varint};
use crate::limits;

/// Everything below an offset was compacted by a plan of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    below: Offset,
    since_ms: i64,
}

/// Part of the replicated state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CompactionState {
    decided: Option<CompactionPlan>,
    mark: Option<Mark>,
}

impl CompactionState {
    /// The plan in force.
    pub(crate) fn decided(&self) -> Option<CompactionPlan> {
        self.decided
    }

    /// Applies a decision, whose leader's clock said `now_ms`. One that does not reach as far as its predecessor is an
    /// echo.
    pub(crate) fn apply(&mut self, plan: CompactionPlan, now_ms: i64) {
        let echo = |known: CompactionPlan| {
            plan.up_to < known.up_to || plan.tombstones_below < known.tombstones_below || plan == known
        };
        if self.decided.is_some_and(echo) {
            return;
        }
        self.decided = Some(plan);
        if self.mark.is_none_or(|mark| plan.tombstones_below >= mark.below) {
            self.mark = Some(Mark { below: plan.up_to, since_ms: now_ms });
        }
    }

    /// Tombstones below this offset were compacted long enough ago for everybody to have read them. They stay at least
    /// `delete_retention_ms`, and as long again if the next plan comes late.
    fn tombstones_below(&self, now_ms: i64, rules: &CompactionRules) -> Offset {
        let known = self.decided.map_or(Offset::ZERO, |plan| plan.tombstones_below);
        let limit_ms = i64::try_from(rules.delete_retention_ms).unwrap_or(i64::MAX);
        let ripe = self.mark.filter(|mark| now_ms.saturating_sub(mark.since_ms) >= limit_ms);
        ripe.map_or(known, |mark| known.max(mark.below))
    }

    /// The plan to propose now, if there is reason for one. `limit`: where transactions may still be open, or members do
    /// not hold the log yet.
    pub(crate) fn next_plan(
        &self,
        log: &PartitionLog,
        now_ms: i64,
        rules: &CompactionRules,
        limit: Offset,
    ) -> Option<CompactionPlan> {
        let tombstones_below = self.tombstones_below(now_ms, rules);
        let file_bytes = log.config().segment_bytes.clamp(1, limits::COMPACTED_FILE_BYTES_MAX);
        let known = self.decided;
        let farther = log.compaction_candidate(now_ms, rules, limit);
        let farther = farther.filter(|up_to| known.is_none_or(|plan| *up_to > plan.up_to));
        if let Some(up_to) = farther {
            return Some(CompactionPlan { up_to, tombstones_below, file_bytes });
        }
        let removable = log.compacted().and_then(|compacted| compacted.removable_from);
        let worth_it = |plan: &CompactionPlan| {
            tombstones_below > plan.tombstones_below
                && removable.is_some_and(|first| first < tombstones_below)
        };
        known.filter(worth_it).map(|plan| CompactionPlan { tombstones_below, ..plan })
    }

    /// Whether this replica's log has carried out the plan in force.
    pub(crate) fn is_carried_out(&self, log: &PartitionLog) -> bool {
        let covers = |compacted: CompactedInfo, plan: &CompactionPlan| {
            compacted.up_to >= plan.up_to && compacted.tombstones_below >= plan.tombstones_below
        };
        self.decided.is_none_or(|plan| {
            plan.up_to <= log.log_start() || log.compacted().is_some_and(|compacted| covers(compacted, &plan))
        })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let plan = self.decided.unwrap_or(CompactionPlan {
            up_to: Offset::UNKNOWN,
            tombstones_below: Offset::ZERO,
            file_bytes: 0,
        });
        let mark = self.mark.unwrap_or(Mark { below: Offset::UNKNOWN, since_ms: 0 });
        encode_plan(&plan, out);
        put_signed(out, mark.below.0);
        put_signed(out, mark.since_ms);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<CompactionState, CodecError> {
        let plan = decode_plan(reader)?;
        let below = Offset(reader.signed("compaction mark")?);
        let since_ms = reader.signed("compaction mark's time")?;
        Ok(CompactionState {
            decided: (plan.up_to >= Offset::ZERO).then_some(plan),
            mark: (below >= Offset::ZERO).then_some(Mark { below, since_ms }),
        })
    }
}

/// Appends a plan's fields.
pub(crate) fn encode_plan(plan: &CompactionPlan, out: &mut BytesMut) {
    put_signed(out, plan.up_to.0);
    put_signed(out, plan.tombstones_below.0);
    put_varint(out, plan.file_bytes);
}

/// Reads what [`encode_plan`] wrote.
pub(crate) fn decode_plan(reader: &mut Reader) -> Result<CompactionPlan, CodecError> {
    Ok(CompactionPlan {
        up_to: Offset(reader.signed("end of compaction")?),
        tombstones_below: Offset(reader.signed("end of expired tombstones")?),
        file_bytes: reader.varint("size of compacted files")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(up_to: i64, tombstones_below: i64) -> CompactionPlan {
        CompactionPlan { up_to: Offset(up_to), tombstones_below: Offset(tombstones_below), file_bytes: 7 }
    }

    #[test]
    fn tombstones_stay_their_time_after_the_plan_that_first_compacted_them() {
        let rules = CompactionRules { delete_retention_ms: 100, ..CompactionRules::default() };
        let mut state = CompactionState::default();
        assert_eq!(state.tombstones_below(1_000_000, &rules), Offset(0));
        state.apply(plan(50, 0), 1_000);
        state.apply(plan(80, 0), 1_050);
        assert_eq!(state.tombstones_below(1_099, &rules), Offset(0));
        assert_eq!(state.tombstones_below(1_100, &rules), Offset(50), "not 80: those were compacted later");
        state.apply(plan(90, 50), 1_110);
        assert_eq!(state.tombstones_below(1_209, &rules), Offset(50));
        assert_eq!(state.tombstones_below(1_210, &rules), Offset(90));
    }

    #[test]
    fn an_older_plan_changes_nothing() {
        let mut state = CompactionState::default();
        state.apply(plan(50, 20), 1_000);
        let before = state;
        for echo in [plan(40, 20), plan(60, 10), plan(50, 20)] {
            state.apply(echo, 2_000);
            assert_eq!(state, before);
        }
    }

    #[test]
    fn the_state_survives_the_round_trip() {
        let mut state = CompactionState::default();
        for _ in 0..2 {
            let mut out = BytesMut::new();
            state.encode(&mut out);
            assert_eq!(CompactionState::decode(&mut Reader::new(out.freeze())), Ok(state));
            state.apply(plan(50, 0), 1_000);
        }
    }
}
