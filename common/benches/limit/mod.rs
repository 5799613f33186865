//! A figure beside the limit that it is held to. A machine that others use shows in the wall clock, so the
//! least of several runs stands beside the median, and the time that the thread was on a CPU.

use std::time::Instant;

/// The line over those of [`against`].
pub fn heading() {
    println!("                      wall, least     median   on a CPU      limit   median's share of it");
}

/// Runs `run` so often and prints how long it took, of at most `limit_s` seconds.
pub fn against<T>(name: &str, limit_s: f64, times: u32, run: impl Fn() -> T) {
    let cpu = cpu_s();
    let mut wall: Vec<f64> = (0..times)
        .map(|_| {
            #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
            let began = Instant::now();
            divan::black_box(run());
            began.elapsed().as_secs_f64()
        })
        .collect();
    let cpu = cpu.zip(cpu_s()).map(|(from, to)| (to - from) / f64::from(times));
    wall.sort_by(f64::total_cmp);
    let (least, median) = (wall[0], wall[wall.len() / 2]);
    let ms = |s: f64| format!("{:.1} ms", s * 1e3);
    let cpu = cpu.map_or_else(|| "-".to_owned(), ms);
    let (least_ms, median_ms, limit) = (ms(least), ms(median), ms(limit_s));
    println!("{name:20} {least_ms:>12} {median_ms:>10} {cpu:>10} {limit:>10} {:22.2}", median / limit_s);
}

/// How long this thread was on a CPU so far, seconds; none where the system does not say.
pub fn cpu_s() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(ns as f64 / 1e9)
}
