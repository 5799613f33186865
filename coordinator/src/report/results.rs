//! How well the models do.

use super::figures::{self, Axis};
use super::number::{metric, with_interval};
use super::{ReportData, RocCurve, View};
use crate::metrics::{FEDERATED, LOCAL, Model, Of, POOLED};
use consilium_common::report::figures::{epsilon_short, grouped, one_in, trimmed};
use consilium_common::report::html::{Html, all, fill};

pub(super) fn section(data: &ReportData) -> Html {
    let views = data.views.iter().map(|view| {
        let heading = |of: &Of| fill("<h3 class=\"prediction\">Prediction: {}</h3>", &[&of.words()]);
        let tested = |on: String| fill("<p class=\"quiet\">Judged on {}.</p>", &[&on]);
        let parts = [
            view.of.as_ref().map_or_else(Html::none, heading),
            data.tested_on(view.of.as_ref()).map_or_else(Html::none, tested),
            models(data, view),
            uncertainty(data, view),
            plots(data, view),
        ];
        all(parts)
    });
    let views = if data.metrics.models.is_empty() && data.views.iter().all(|view| view.roc.is_empty()) {
        fill("<p>{}</p>", &[&super::not_evaluated(data.stopped.as_ref())])
    } else {
        all(views)
    };
    fill(
        "<section id=\"results\"><h2>Results</h2>{}{}{}</section>",
        &[&tiles(data), &over_time(data), &views],
    )
}

/// What two figures of one prediction are for, where later examples are held out.
fn over_time(data: &ReportData) -> Html {
    data.told_apart_on().map_or_else(Html::none, |from| {
        fill(
            "<p>Two kinds of evaluation people, none of whom the model learnt from, are judged apart: those who were \
             asked about before {} (internal validation) and those from that day on (temporal validation), of whose \
             time nobody was learnt from. The second is nearer to what happens when a model is used: services, coding \
             and patients change, and a model may grow worse. Where the intervals overlap, these figures do not say \
             that it did.</p>",
            &[&from.to_string()],
        )
    })
}

fn tiles(data: &ReportData) -> Html {
    let tile = |name: &str, value: &str, note: &str| {
        fill(
            "<div class=\"tile\"><dt>{}</dt><dd><b>{}</b> <span>{}</span></dd></div>",
            &[&name, &value, &note],
        )
    };
    let privacy = &data.metrics.privacy;
    let people = data.metrics.people_trained_on_public.map_or_else(String::new, |people| {
        let how_many = if data.study.split.holdout.is_none() { "about" } else { "at most" };
        format!("{how_many} {} people trained on, by published figures", grouped(people as f64))
    });
    let auroc = |view: &View| {
        let name = view.of.as_ref().map_or_else(|| "AUROC".to_owned(), |of| format!("AUROC: {}", of.words()));
        let Some(released) = data.released(view.of.as_ref()) else { return tile(&name, &metric(None), "") };
        // In large print a figure is relied on.
        if released.too_few_people {
            return tile(&name, &metric(None), "too few people to say");
        }
        let interval = released.auroc_interval.map_or_else(String::new, |[low, high]| {
            format!("{} to {}", metric(Some(low)), metric(Some(high)))
        });
        tile(&name, &metric(released.auroc), &interval)
    };
    fill(
        "<dl class=\"tiles\">{}{}{}{}</dl>",
        &[
            &all(data.views.iter().map(auroc)),
            &tile(
                "ε of a person, at most",
                &epsilon_short(privacy.epsilon),
                &format!("δ {}, {} mode", one_in(privacy.delta), privacy.mode),
            ),
            &tile("Hospitals", &data.metrics.sites.len().to_string(), &people),
            &tile(
                "Rounds",
                &data.metrics.timing.rounds.to_string(),
                &format!("{} private steps at a site", privacy.steps),
            ),
        ],
    )
}

fn models(data: &ReportData, view: &View) -> Html {
    let own = || data.metrics.models.iter().filter(|model| model.of == view.of);
    let axis = Axis::around(own().filter_map(|model| model.auroc_interval));
    let overall = data.released(view.of.as_ref()).and_then(|model| model.auroc);
    let row = |model: &Model| {
        let name = if model.name == FEDERATED && !model.released_under_dp {
            "The same, judged without noise".into()
        } else {
            model_name(&model.name)
        };
        let note = match (model.released_under_dp, model.too_few_people) {
            (true, false) => Html::raw("all sites together; released under differential privacy"),
            (true, true) => Html::raw(
                "all sites together; released under differential privacy; <strong>too few people to say with \
                 confidence</strong>",
            ),
            (false, _) => Html::raw("<em>not released: reference computed on this machine</em>"),
        };
        let class = if model.released_under_dp { "released" } else { "reference" };
        fill(
            "<tr class=\"{}\"><th scope=\"row\">{}<small>{}</small></th><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td></tr>",
            &[
                &class,
                &name,
                &note,
                &with_interval(model.auroc, model.auroc_interval),
                &axis.whisker(model.auroc, model.auroc_interval, overall),
                &metric(model.auprc),
                &metric(model.brier),
                &metric(model.calibration_slope),
                &metric(model.calibration_in_the_large),
            ],
        )
    };
    if own().next().is_none() {
        return fill("<p>{}</p>", &[&super::not_evaluated(data.stopped.as_ref())]);
    }
    let on = data.tested_on(view.of.as_ref()).map_or_else(String::new, |on| format!(": {on}"));
    let line = if overall.is_some() { " The dashed line marks the released model." } else { "" };
    let weighted = data.weighted().map_or_else(String::new, |weighted| format!(" {weighted}"));
    fill(
        "<h3>The model, and others to compare it with</h3><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">Model</th><th scope=\"col\">AUROC (interval)</th><th scope=\"col\">{}</th>\
         <th scope=\"col\">AUPRC</th><th scope=\"col\">Brier score</th>\
         <th scope=\"col\">Calibration slope</th><th scope=\"col\">Calibration in the large</th>\
         </tr></thead><tbody>{}</tbody></table></div>\
         <p class=\"quiet\">All on evaluation people of every site{}. AUROC: 0.5 is a coin, 1 is \
         perfect. Slope: 1 is right, less is too extreme. In the large: share with the outcome minus \
         mean prediction.{}{}</p>",
        &[&axis.ticks(), &all(own().map(row)), &on, &line, &weighted],
    )
}

/// A model's name for people.
fn model_name(name: &str) -> String {
    match name {
        FEDERATED => "Federated".into(),
        POOLED => "All records pooled".into(),
        other => {
            other.strip_prefix(LOCAL).map_or_else(|| other.replace('_', " "), |site| format!("{site} alone"))
        }
    }
}

fn uncertainty(data: &ReportData, view: &View) -> Html {
    let Some(model) = data.released(view.of.as_ref()) else { return Html::none() };
    let few = match (model.too_few_people, model.auroc) {
        (false, _) => Html::none(),
        (true, None) => Html::raw(
            "<p class=\"warning\"><strong>Too few people to say.</strong> No figure of the released model is given: the \
             interval of its AUROC would be all of 0 to 1, and the other figures rest on the same people.</p>",
        ),
        (true, Some(_)) => Html::raw(
            "<p class=\"warning\"><strong>Too few people to say with confidence.</strong> A subgroup with \
             figures like these would not be shown. Of everybody they are, and the AUROC’s interval says how far off it \
             may be; the other figures of the released model rest on the same few people and are no surer.</p>",
        ),
    };
    let Some(error) = model.auroc_standard_error else { return few };
    fill(
        "{}<p>The released AUROC has a standard error of {}: {} because only so many people were evaluated, \
         {} because of the noise that protects them (errors add as squares).</p>",
        &[&few, &metric(error.all), &metric(error.people), &metric(error.noise)],
    )
}

fn plots(data: &ReportData, view: &View) -> Html {
    let roc = match view.roc.as_slice() {
        [] if !data.is_evaluated() => Html::none(),
        [] => Html::raw("<p>No ROC curve: too few people to draw one.</p>"),
        curves => fill(
            "{}<figcaption><strong>Who is ranked higher.</strong> A curve nearer to the upper left corner is \
             better; the dashed line is a coin. <ul class=\"keys\">{}</ul>{}</figcaption>",
            &[&figures::roc(curves), &roc_key(data, view), &band(data, curves)],
        ),
    };
    let calibration = match view.calibration.as_slice() {
        [] if !data.is_evaluated() => Html::none(),
        [] => Html::raw("<p>No calibration plot: too few people to draw one.</p>"),
        points => fill(
            "{}<figcaption><strong>Are the predictions right?</strong> On the dashed line they are; above \
             it the model predicts too low. {}% of such bars hold the truth, and they count people \
             and noise both; a bar without an upper end goes on outside the drawing. People with neighbouring \
             predictions are taken together, in groups as equal in size as the study’s {} bins of predictions \
             allow.</figcaption>",
            &[
                &figures::calibration(points),
                &trimmed(data.study.evaluation.level * 100.0),
                &(data.study.evaluation.bin_edges.len() + 1),
            ],
        ),
    };
    if !data.is_evaluated() && view.roc.is_empty() && view.calibration.is_empty() {
        return Html::none();
    }
    fill("<div class=\"two\"><figure>{}</figure><figure>{}</figure></div>", &[&roc, &calibration])
}

/// One line per kind of curve: the sites' own look alike and share one.
fn roc_key(data: &ReportData, view: &View) -> Html {
    let curves = &view.roc;
    let local = curves.iter().filter(|curve| figures::kind(curve) == figures::LOCAL_KIND).count();
    let mut seen_local = false;
    let item = |curve: &RocCurve| {
        let kind = figures::kind(curve);
        let released = !curve.band.is_empty();
        let model = data
            .metrics
            .models
            .iter()
            .find(|m| m.name == curve.model && m.of == view.of && m.released_under_dp == released);
        let auroc = metric(model.and_then(|m| m.auroc));
        let text = match kind {
            figures::LOCAL_KIND if std::mem::replace(&mut seen_local, true) => return None,
            figures::LOCAL_KIND if local > 1 => format!("{local} hospitals, each alone; not released"),
            _ if released => format!("{}, AUROC {auroc}; released", model_name(&curve.model)),
            _ => format!("{}, AUROC {auroc}; not released", model_name(&curve.model)),
        };
        Some(fill(
            "<li><svg class=\"key\" viewBox=\"0 0 30 8\" aria-hidden=\"true\">\
             <path class=\"line {}\" d=\"M0 4H30\"/></svg> {}</li>",
            &[&kind, &text],
        ))
    };
    all(curves.iter().filter_map(item))
}

/// What the shaded band of the released curve is.
fn band(data: &ReportData, curves: &[RocCurve]) -> Html {
    if curves.iter().all(|curve| curve.band.is_empty()) {
        return Html::none();
    }
    fill(
        "Shaded: read it at one place of the lower axis at a time. There, {}% of such intervals hold the true \
         share found. It counts both that only so many people were tested and the noise that protects them.",
        &[&trimmed(data.study.evaluation.level * 100.0)],
    )
}

pub(super) fn learning_curve(data: &ReportData) -> Html {
    let body = match data.learning_curve.as_deref() {
        None | Some([]) => Html::raw(
            "<p>Not released: no learning curve was paid for. Each look at a model costs privacy, and this \
             study’s list of events paid for the final model alone.</p>",
        ),
        Some(points) => fill(
            "<figure>{}<figcaption>Each point is an evaluation that the study’s list of events paid \
             for.</figcaption></figure>",
            &[&figures::learning(points)],
        ),
    };
    fill("<section id=\"learning\"><h2>Learning curve</h2>{}</section>", &[&body])
}
