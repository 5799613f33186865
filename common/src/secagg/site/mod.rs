//! A site's side, one state after the other. Each takes the coordinator's next message and gives the
//! next state and the site's next message.
//!
//! ```text
//! Joining ──SessionKeys──▶ Session ──share()──▶ Sharing ──ShareDelivery──▶ Ready
//!                                                                           │ StepRequest, reserve,
//!                                                                           ▼ noised input
//! Transcript ◀──StepResult── Unmasked ◀──SurvivorsCertificate── Signed ◀──Survivors── Masked
//! ```
//!
//! A state is consumed by its message. A refusal therefore ends the attempt at this site: the secrets
//! are wiped, nothing is answered, and the others go on as with a site that dropped out. No state is
//! ever written down: a site that crashed has forgotten its attempt, and cannot be made to answer
//! twice. `Session` outlives attempts; two attempts (one being unmasked, the next one sharing) may be
//! under way in it.

mod joining;
mod masked;
mod ready;
mod session;
mod sharing;
mod signed;
mod unmasked;

pub use joining::Joining;
pub use masked::Masked;
pub use ready::{Ready, Reserve};
pub use session::Session;
pub use sharing::Sharing;
pub use signed::Signed;
pub use unmasked::Unmasked;

use super::agreement::SiteIndex;
use super::dealing::PAIR_BYTES;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// By dealer, the pair of shares that this site holds: of every site in the attempt, itself included.
pub(in crate::secagg) type Held = BTreeMap<SiteIndex, Zeroizing<[u8; PAIR_BYTES]>>;
