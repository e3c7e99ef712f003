//! How a partner's answers are laid out: one engine, many formats. A format is data: where elements stand, what they
//! are, what else in the answer matters. The named formats are settings of the same engine.

use crate::limits::PARTNER_JSON_DEPTH_MAX;

/// The formats with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormatName {
    /// `{"segment":[{"segment_id":"a","ttl":86400}]}`
    #[default]
    Pinion,
    /// `{"user":{"data":[{"segment":[{"id":"1"}]}]}}`, the same under `ortb2`, and
    /// `{"audience":[{"ids":[{"id":"1"}]}]}`
    OpenRtb,
    /// `{"segments":["a",1]}`, at any number of configured paths
    Flat,
    /// `{"segments":{"101":0.8}}` with a least score
    Scored,
    /// `{"Profile":{"pid":"p","Audiences":{"Audience":[{"id":"1","abbr":"all"}]}}}`, often wrapped in script
    Lotame,
    /// `var r = {"campaigns":[{"categories":[{"categoryID":17}]}]}`
    BlueKai,
    /// `{"targeting":{"sport":["rugby"]}}`
    Targeting,
    /// `flat` with `staleAt`, `expiresAt` and `status`
    Stale,
    /// Another data collection server's answer: `{"segments":[3]}`
    Dcs,
}

/// A format as configured. `None` and empty mean what the named format says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FormatSettings {
    pub name: FormatName,
    /// Where the elements stand, as `user.data[].segment[]`: names joined by dots, `[]` for each element of an array.
    pub paths: Vec<String>,
    /// In which member an element that is an object has its id.
    pub element_id: Option<String>,
    /// In which member an element that is an object has its ttl, in seconds.
    pub element_ttl: Option<String>,
    /// Where the partner's own id of the visitor stands.
    pub id_path: Option<String>,
    /// Where the answer's ttl stands, in seconds.
    pub ttl_path: Option<String>,
    /// The least score that counts, on the partner's own scale.
    pub min_score: f64,
    /// Whether script around the JSON is taken off.
    pub wrapped: Option<bool>,
    /// Whether `staleAt`, `expiresAt` and `status` at the top are read.
    pub stale: bool,
    /// Statuses besides 204 that mean 'nothing known', 404 perhaps.
    pub empty_statuses: Vec<u16>,
}

/// A format, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    pub(super) sources: Vec<Source>,
    pub(super) id_path: Option<Path>,
    pub(super) ttl_path: Option<Path>,
    pub(super) wrapped: bool,
    pub(super) stale: bool,
    /// Whether error 171 in `errors` means that the visitor opted out there.
    pub(super) reads_dcs_errors: bool,
    /// Whether answers have signals rather than segments.
    pub(super) has_signals: bool,
    pub(super) empty_statuses: Vec<u16>,
}

/// Elements of one kind, somewhere in the answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) path: Path,
    pub(super) elements: Elements,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Elements {
    /// Each is a segment's id.
    Ids,
    /// Each is an object.
    Objects { id: String, ttl: Option<String> },
    /// One map from ids to scores, or an array of ids.
    Scores { min_score: f64 },
    /// One map from keys to values.
    Signals,
}

/// A way into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Each,
}

/// What a named format says where the settings say nothing.
struct Preset {
    paths: &'static [&'static str],
    element_id: Option<&'static str>,
    element_ttl: Option<&'static str>,
    id_path: Option<&'static str>,
    ttl_path: Option<&'static str>,
    wrapped: bool,
}

const PLAIN: Preset = Preset {
    paths: &["segments[]"],
    element_id: None,
    element_ttl: None,
    id_path: None,
    ttl_path: Some("ttl"),
    wrapped: false,
};

impl FormatName {
    const ALL: &[(&str, FormatName)] = &[
        ("pinion", FormatName::Pinion),
        ("openrtb", FormatName::OpenRtb),
        ("flat", FormatName::Flat),
        ("scored", FormatName::Scored),
        ("lotame", FormatName::Lotame),
        ("bluekai", FormatName::BlueKai),
        ("targeting", FormatName::Targeting),
        ("stale", FormatName::Stale),
        ("dcs", FormatName::Dcs),
    ];

    /// The format that a config calls `name`.
    pub fn from_name(name: &str) -> Option<FormatName> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// All names that a config may use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }

    fn preset(self) -> Preset {
        match self {
            FormatName::Pinion => {
                Preset { paths: &["segment[]"], element_id: Some("segment_id"), element_ttl: Some("ttl"), ..PLAIN }
            }
            FormatName::OpenRtb => Preset {
                paths: &["user.data[].segment[]", "ortb2.user.data[].segment[]", "audience[].ids[]"],
                element_id: Some("id"),
                ttl_path: None,
                ..PLAIN
            },
            FormatName::Lotame => Preset {
                paths: &["Profile.Audiences.Audience[]"],
                element_id: Some("id"),
                id_path: Some("Profile.pid"),
                ttl_path: None,
                wrapped: true,
                ..PLAIN
            },
            FormatName::BlueKai => Preset {
                paths: &["campaigns[].categories[]"],
                element_id: Some("categoryID"),
                ttl_path: None,
                wrapped: true,
                ..PLAIN
            },
            FormatName::Scored => Preset { paths: &["segments"], ..PLAIN },
            FormatName::Targeting => Preset { paths: &["targeting"], ..PLAIN },
            FormatName::Dcs => Preset { ttl_path: None, ..PLAIN },
            FormatName::Flat | FormatName::Stale => PLAIN,
        }
    }
}

impl Format {
    /// Compiles settings; the error is a sentence about the first fault.
    pub fn compile(settings: &FormatSettings) -> Result<Format, String> {
        let preset = settings.name.preset();
        let or_preset = |set: &Option<String>, preset: Option<&str>| set.clone().or(preset.map(str::to_owned));
        let elements = match settings.name {
            FormatName::Scored => Elements::Scores { min_score: settings.min_score },
            FormatName::Targeting => Elements::Signals,
            _ => match or_preset(&settings.element_id, preset.element_id) {
                Some(id) => Elements::Objects { id, ttl: or_preset(&settings.element_ttl, preset.element_ttl) },
                None => Elements::Ids,
            },
        };
        let has_signals = elements == Elements::Signals;
        let paths = match &settings.paths[..] {
            [] => preset.paths.iter().map(|path| (*path).to_owned()).collect(),
            paths => paths.to_vec(),
        };
        let source = |path: &String| {
            let mut path = Path::parse(path)?;
            let is_list = matches!(elements, Elements::Ids | Elements::Objects { .. });
            if is_list && path.steps.last() != Some(&Step::Each) {
                path.steps.push(Step::Each);
            }
            Ok(Source { path, elements: elements.clone() })
        };
        let optional_path = |path: Option<String>| path.map(|path| Path::parse(&path)).transpose();
        Ok(Format {
            sources: paths.iter().map(source).collect::<Result<_, String>>()?,
            id_path: optional_path(or_preset(&settings.id_path, preset.id_path))?,
            ttl_path: optional_path(or_preset(&settings.ttl_path, preset.ttl_path))?,
            wrapped: settings.wrapped.unwrap_or(preset.wrapped),
            stale: settings.stale || settings.name == FormatName::Stale,
            reads_dcs_errors: settings.name == FormatName::Dcs,
            has_signals,
            empty_statuses: settings.empty_statuses.clone(),
        })
    }
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Path, String> {
        let mut steps = Vec::new();
        for (place, part) in text.split('.').enumerate() {
            let name = part.trim_end_matches("[]");
            let is_root = name.is_empty() && place == 0 && !part.is_empty();
            if (name.is_empty() && !is_root) || name.contains(['[', ']']) {
                return Err(format!(
                    "`{text}` is no path: names joined by dots are meant, as in `user.data[].segment[]`"
                ));
            }
            if !is_root {
                steps.push(Step::Member(name.to_owned()));
            }
            steps.extend(std::iter::repeat_n(Step::Each, (part.len() - name.len()) / 2));
        }
        if steps.len() > PARTNER_JSON_DEPTH_MAX {
            return Err(format!("`{text}` leads deeper than {PARTNER_JSON_DEPTH_MAX} levels"));
        }
        Ok(Path { steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_compiles() {
        for (name, format) in FormatName::ALL {
            assert_eq!(FormatName::from_name(name), Some(*format));
            Format::compile(&FormatSettings { name: *format, ..FormatSettings::default() }).unwrap();
        }
        assert_eq!(FormatName::from_name("Pinion"), None);
    }

    #[test]
    fn paths() {
        let member = |name: &str| Step::Member(name.to_owned());
        assert_eq!(
            Path::parse("a.b[][].c").unwrap().steps,
            [member("a"), member("b"), Step::Each, Step::Each, member("c")]
        );
        assert_eq!(Path::parse("[].a").unwrap().steps, [Step::Each, member("a")]);
        assert_eq!(Path::parse("[]").unwrap().steps, [Step::Each]);
        for text in ["", ".", "a.", ".a", "a..b", "a.[]", "a[0]", "a[", "a[]b", "]["] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        assert!(Path::parse(&"[]".repeat(33)).is_err());
    }
}
