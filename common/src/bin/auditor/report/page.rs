//! The page around the sections: head, style, footer.

use super::{Audited, lay, measured, sites, study, verdict};
use consilium_common::report::html::{Html, all, fill};

pub(super) fn page(audited: &Audited<'_>) -> String {
    let (report, study) = (audited.report, audited.study);
    let sections = [
        lay::section(audited),
        verdict::section(audited),
        study::section(audited),
        sites::budget(audited),
        measured::section(audited),
        sites::each(audited),
        verdict::limits(),
        verdict::yourself(audited),
    ];
    let last = report.sites.iter().filter_map(|site| site.ledger.as_ref()).map(|ledger| ledger.time()).max();
    fill(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Audit: {}</title><style>{}</style></head><body>\
         <header><p class=\"brand\">Consilium · audit of a study</p><h1>{}</h1>\
         <p class=\"quiet\">{}, version {} · {} of {} rounds · {} sites · last ledger entry {}</p></header>\
         <main>{}</main><footer><p>Made by Consilium’s auditor {} {}, without a network. This \
         file is complete in itself: it loads nothing and runs nothing.</p></footer></body></html>\n",
        &[
            &study.title,
            &Html::raw(include_str!("style.css")),
            &study.title,
            &study.id.to_string(),
            &study.version,
            &report.rounds,
            &study.privacy.training.rounds,
            &report.sites.len(),
            &last.map_or_else(|| "–".to_owned(), minute),
            &all(sections),
            &env!("CARGO_PKG_VERSION"),
            &match audited.audit {
                None => "from the bundle alone",
                Some(_) => "from the bundle, and the file of an audit beside it",
            },
        ],
    )
    .into_string()
}

/// `2027-03-01 09:30 UTC`: what a person reads; the ledger has the milliseconds.
pub(super) fn minute(time: consilium_common::time::Time) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => text,
    }
}
