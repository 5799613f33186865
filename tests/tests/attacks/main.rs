//! Hostile parties on the wire: a site that tries to be more than itself; a coordinator, with hospitals on
//! its side, that tries to learn what one real agent put into a secure sum.
//!
//! The attacks on a secure sum, and where each is tried; the states of the protocol are attacked at more
//! places in `common/src/secagg/tests`.
//!
//! | | attack | here | in the states' tests |
//! |---|---|---|---|
//! | 1 | keys exchanged, of low order, twice | [`hostile_coordinator`] | `setup_attacks` |
//! | 2 | other rosters, other survivors | [`hostile_coordinator`] | `step_attacks`, `siege` |
//! | 3 | one site both alive and dead | [`hostile_coordinator`], [`promises`] | `siege` |
//! | 4 | a second unmasking of one attempt | [`hostile_coordinator`] | `unmask_attacks` |
//! | 5 | replays from another step, attempt, session | [`hostile_coordinator`] | `step_attacks` |
//! | 6 | reroll | [`promises`] | `reroll` |
//! | 7 | other numbers than the study's | [`hostile_coordinator`] | `step_attacks` |
//! | 8 | other models; trap weights | [`hostile_coordinator`], [`silence`] | `step_attacks` |
//! | 9 | invented hospitals | [`downgrade`] | `agreement` |
//! | 10 | too few; too late | [`hostile_coordinator`], [`downgrade`] | `step_attacks` |
//! | 11 | false shares | [`hostile_coordinator`] | `setup_attacks`, `unmask_attacks` |
//! | 12 | everybody at the end of the lanes | [`promises`] | `sums` |
//! | 13 | masked vectors that tell something | [`promises`] | `statistics` |
//! | 14 | a generator that is not what it says | – | `vectors`, `exchange`, `mask` |
//! | 15 | either side dies, at every message | [`crashes`] | – |
//! | 16 | another sum than that of the integers | [`crashes`] | `sums` |
//! | 17 | coordinator and n_C sites together | – | `statistics`, `siege` |
//! | 18 | downgrade | [`downgrade`] | – |
//! | 19 | sizes and times that depend on data | [`silence`] | – |

mod besieged;
mod crashes;
mod downgrade;
mod hostile_coordinator;
mod hostile_site;
mod promises;
mod silence;

/// The agent of a build with broken variants, where another test asked for one.
#[cfg(feature = "mutants")]
#[test]
fn serves_as_an_agent_where_asked() {
    consilium_tests::mutants::serve();
}
