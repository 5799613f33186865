//! The page around the sections: head, style, contents, footer.

use super::ReportData;
use consilium_common::report::html::{Html, fill};

pub(super) fn page(data: &ReportData, sections: &Html) -> Html {
    let study = &data.study;
    fill(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{}</style></head><body>\
         <header><p class=\"brand\">Consilium · report of a study</p><h1>{}</h1>\
         <p class=\"quiet\">{}, version {} · {} model · {} {} · sponsor {}</p>{}</header>\
         <main>{}</main><footer><p>Made by Consilium’s coordinator {} from the study’s bundle. This file is \
         complete in itself: it loads nothing and runs nothing.</p></footer></body></html>\n",
        &[
            &study.title,
            &Html::raw(STYLE),
            &study.title,
            &study.id.to_string(),
            &study.version,
            &study.kind,
            &if data.stopped.is_some() { "stopped" } else { "finished" },
            &data.finished.day().to_string(),
            &study.governance.sponsor,
            &Html::raw(CONTENTS),
            sections,
            &env!("CARGO_PKG_VERSION"),
        ],
    )
}

const CONTENTS: &str = "<nav aria-label=\"Contents\"><ol>\
    <li><a href=\"#lay\">In plain words</a></li><li><a href=\"#results\">Results</a></li>\
    <li><a href=\"#subgroups\">Groups of people</a></li><li><a href=\"#learning\">Learning curve</a></li>\
    <li><a href=\"#budget\">Privacy budget</a></li><li><a href=\"#who\">Who decided</a></li>\
    <li><a href=\"#method\">Method</a></li><li><a href=\"#limits\">Not protected</a></li>\
    <li><a href=\"#verify\">Check it yourself</a></li></ol></nav>";

/// Colours: Okabe and Ito's blue, orange and vermilion, which colour-blind eyes tell apart, darkened
/// or lightened so that text on them keeps a contrast of 4.5.
const STYLE: &str = include_str!("style.css");
