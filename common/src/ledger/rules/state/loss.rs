//! What people have paid, role by role; and what the loss of a ledger's key makes of it.

use super::{State, StudyRecord};
use crate::key::PublicKey;
use crate::ledger::entry::{Account, Role};
use crate::ledger::key_loss::SplitKey;
use crate::privacy::filter::Filter;
use crate::privacy::mechanism::Event;
use crate::time::Time;

/// Why a study is closed that was open when the key was lost.
pub const KEY_LOST: &str = "key_lost";

impl State {
    /// What was burnt at the expense of a role, over all studies.
    #[must_use]
    pub fn burnt(&self, role: Role) -> Vec<Event> {
        self.paid(role, StudyRecord::burnt_events)
    }

    /// What the caps count at the expense of a role: earmarked of open studies, burnt of closed ones.
    #[must_use]
    pub fn charged(&self, role: Role) -> Vec<Event> {
        self.paid(role, StudyRecord::charged_events)
    }

    /// The newest `key_lost` by which roles were lost; `None` where everybody has the role that they always had.
    #[must_use]
    pub const fn roles_lost(&self) -> Option<u64> {
        self.roles_lost
    }

    /// Of the studies before roles were lost, which are all closed, everything.
    fn paid(&self, role: Role, since: impl Fn(&StudyRecord, Role) -> Vec<Event>) -> Vec<Event> {
        let of = |record: &StudyRecord| {
            if self.is_before_loss(record) { record.burnt_on(|_| true) } else { since(record, role) }
        };
        self.studies.values().flat_map(of).collect()
    }

    fn is_before_loss(&self, record: &StudyRecord) -> bool {
        self.roles_lost.is_some_and(|lost| record.opened < lost)
    }

    /// Records a `key_lost`, which was checked.
    ///
    /// # Privacy
    /// Unit: one person at this site; neighbours: add or remove one person. Entries after the copy are lost with
    /// the key's holder, or may be: whatever an open study had declared counts as spent, and nothing of it is
    /// ever given back.
    pub(super) fn lose_key(&mut self, key: PublicKey, split: SplitKey, time: Time) {
        self.recover(time);
        for record in self.studies.values_mut().filter(|record| record.closed.is_none()) {
            record.burnt = record.earmarks.iter().map(|earmark| earmark.event.count()).collect();
            record.closed = Some(KEY_LOST.to_owned());
        }
        if split == SplitKey::Lost {
            self.lose_roles();
        }
        self.change_key(key);
    }

    /// From here on people of either role have paid for everything that was charged to anybody.
    ///
    /// # Privacy
    /// Unit: one person at this site; neighbours: add or remove one person. A role was drawn by the lost key and is
    /// drawn anew by another, so that a person who pays for one account from now on may have paid for the other
    /// before: T₀ or E₀, then T₁ or E₁. Each account therefore begins with T₀ + E₀, at the Rényi order that it has
    /// had since its first charge, so that it stays a filter ([`Filter`]). An account that nothing was ever
    /// charged to takes over the other one, order included: an order chosen only now could depend on what was
    /// released. What both accounts were charged with counts once.
    fn lose_roles(&mut self) {
        let since = self.roles_lost;
        let recent = |record: &&StudyRecord| since.is_none_or(|lost| record.opened > lost);
        let recent: Vec<&StudyRecord> = self.studies.values().filter(recent).collect();
        let of_other = |records: &[&StudyRecord]| {
            [Account::Evaluation, Account::Training].map(|account| {
                records.iter().flat_map(|record| record.burnt_on(|of| of == account)).collect::<Vec<_>>()
            })
        };
        self.filters = summed(&self.filters, &of_other(&recent));
        for (year, filters) in &mut self.years {
            let of_year: Vec<_> =
                recent.iter().copied().filter(|record| record.opened_at.day().year() == *year).collect();
            *filters = summed(filters, &of_other(&of_year));
        }
        self.roles_lost = Some(self.size);
    }
}

/// Each role's filter, charged with what only the other role was charged with.
fn summed([training, evaluation]: &[Filter; 2], of_other: &[Vec<Event>; 2]) -> [Filter; 2] {
    let sum = |own: &Filter, other: &Filter, events: &[Event]| {
        if own.order().is_none() {
            return other.clone();
        }
        let mut own = own.clone();
        // It was spent, whatever the cap says.
        own.charge_with_slack(events, f64::INFINITY).expect("priced when the study was opened");
        own
    };
    [sum(training, evaluation, &of_other[0]), sum(evaluation, training, &of_other[1])]
}
