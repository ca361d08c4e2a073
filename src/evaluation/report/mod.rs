//! Runs as one page of HTML that needs nothing else: tables, and plots as SVG within it.
//!
//! Invariant: the same runs and seed give the same bytes.

mod plots;

use std::fmt::Write as _;

use super::bootstrap::{Difference, paired_bootstrap};
use super::comparison::{CHUNK_TOKENS, format_value};
use super::error::Error;
use crate::records::Run;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;\
    padding:0 1rem;color:#1b1f24}table{border-collapse:collapse;margin:1rem 0}\
    th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #d8dee4}\
    th:first-child,td:first-child{text-align:left}.sd{color:#6e7781}svg{max-width:100%;height:auto}";

/// The report of `runs` on one data set, with plots of `metric`. Intervals of means are of 95%, by
/// bootstrap over items with `seed`.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn html_report(title: &str, runs: &[Run], metric: &str, seed: u64) -> Result<String, Error> {
    let drawn =
        |plot: Result<String, plots::Failure>| plot.map_err(|error| Error::Plot(error.to_string()));
    let means: Vec<(&str, Difference)> = runs
        .iter()
        .filter_map(|run| {
            let values = run.values(metric);
            let zeros = vec![0.0; values.len()];
            let mean = || paired_bootstrap(&zeros, &values, seed);
            (!values.is_empty()).then(|| (run.name.as_str(), mean()))
        })
        .collect();
    let mut page = String::new();
    let title = escape(title);
    let mut put = |part: &str| page.push_str(part);
    put(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    ));
    put(&table(runs));
    if !means.is_empty() {
        put(&format!("<h2>{} of each run, with its 95% interval</h2>\n", escape(metric)));
        put(&drawn(plots::means(metric, &means))?);
        put(&format!("<h2>{} of each item, sorted</h2>\n", escape(metric)));
        put(&drawn(plots::distributions(metric, runs))?);
    }
    let sized: Vec<(&str, f64, f64)> = runs
        .iter()
        .map(|run| (run.name.as_str(), run.summary(CHUNK_TOKENS), run.summary(metric)))
        .filter(|(_, size, value)| size.count > 0 && value.count > 0)
        .map(|(name, size, value)| (name, size.mean, value.mean))
        .collect();
    if sized.len() > 1 {
        put(&format!("<h2>{} against the mean tokens of a chunk</h2>\n", escape(metric)));
        put(&drawn(plots::sizes(metric, &sized))?);
    }
    put("</body></html>\n");
    Ok(page)
}

/// Mean and standard deviation of each metric, a row a run.
fn table(runs: &[Run]) -> String {
    let mut metrics: Vec<&str> = Vec::new();
    for metric in runs.iter().flat_map(Run::metrics) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    let mut table = String::from("<table><thead><tr><th>run</th><th>data set</th>");
    for metric in &metrics {
        let _ = write!(table, "<th>{}</th>", escape(metric));
    }
    table.push_str("</tr></thead><tbody>\n");
    for run in runs {
        let _ =
            write!(table, "<tr><td>{}</td><td>{}</td>", escape(&run.name), escape(&run.dataset));
        for metric in &metrics {
            let summary = run.summary(metric);
            if summary.count == 0 {
                table.push_str("<td></td>");
                continue;
            }
            let [mean, sd] = [summary.mean, summary.sd].map(|value| format_value(metric, value));
            let count = summary.count;
            let _ = write!(
                table,
                "<td title=\"{count} items\">{mean} <span class=\"sd\">± {sd}</span></td>"
            );
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody></table>\n");
    table
}

/// `text` within HTML.
fn escape(text: &str) -> String {
    let pieces = text.chars().map(|c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c => c.to_string(),
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::html_report;
    use crate::evaluation::comparison::CHUNK_TOKENS;
    use crate::records::Run;

    fn runs() -> Vec<Run> {
        let run = |name: &str, shift: f64| {
            let mut run = Run::new(name, "set");
            for item in 0..20 {
                let value = f64::from(item) / 40.0 + shift;
                run.add(
                    &item.to_string(),
                    [("iou@5", value), (CHUNK_TOKENS, 100.0 + 50.0 * shift)],
                );
            }
            run
        };
        vec![run("plain", 0.0), run("<script>&\"", 0.25)]
    }

    #[test]
    fn a_report_is_one_page_and_always_the_same() {
        let page = html_report("Sweep & set", &runs(), "iou@5", 1).unwrap();
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("23.75%") && page.contains("48.75%"), "{page}");
        assert!(page.contains("&lt;script&gt;&amp;&quot;") && !page.contains("<script"));
        // Namespaces are names; nothing is loaded.
        let outside = page.replace("http://www.w3.org/", "");
        assert!(
            !outside.contains("http") && !outside.contains("src=") && !outside.contains("url(")
        );
        assert_eq!(page, html_report("Sweep & set", &runs(), "iou@5", 1).unwrap());
    }

    #[test]
    fn runs_without_the_metric_have_a_table_alone() {
        let page = html_report("t", &runs(), "pk", 1).unwrap();
        assert!(!page.contains("<svg") && page.contains("<table>"));
    }
}
