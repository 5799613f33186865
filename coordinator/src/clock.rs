//! The one place that reads the clock.

use consilium_common::time::Time;

/// Now.
///
/// # Panics
/// When the system's clock is outside the years −9999 to 9999.
#[must_use]
pub fn now() -> Time {
    Time::from_unix_ms(jiff::Timestamp::now().as_millisecond()).expect("a clock within the calendar")
}
