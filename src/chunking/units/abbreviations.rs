//! Words whose full stop ends no sentence, in the languages that write them so.
//!
//! Short forms of single letters ("J. R. R.", "U.S.A.", "z. B.", "т. е.") need no list: their shape
//! says what they are. Words that mostly end a sentence where a capital follows ("etc.", "usw.")
//! are left out on purpose. An entry with a capital is matched as it is written, any other also
//! at the beginning of a sentence.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::case::Case;

type Words = LazyLock<HashSet<&'static str>>;

/// Their full stop ends a sentence only before one of [`STARTERS`].
static ABBREVIATIONS: Words = LazyLock::new(|| {
    words(&[
        // English
        "Mr Mrs Ms Mx Dr Drs Prof Rev Hon Fr Sr Jr St Ste Mt Ft Gen Col Lt Maj Capt Cpl Sgt Cmdr",
        "Adm Gov Sen Rep Pres Supt Det Insp Messrs Mmes Esq Inc Ltd Corp Co Bros Univ Dept Ave",
        "Blvd Rd vs cf viz approx ca al ed eds trans esp dept resp incl fig figs eq eqs ref refs",
        // German, Dutch, Scandinavian, Finnish
        "bzw vgl ggf evtl inkl exkl zzgl bspw sog geb gest Hr Frl Dipl Ing Mag Str Abb Tab Kap",
        "Aufl Hrsg Jh Jhd Mio Mrd Std Tel Anm Verf bijv mevr dhr drs mr ing jhr blz fvt jf ang",
        "kap avd civ esim ks vrt med kath evang Skt",
        // French, Spanish, Portuguese, Italian, Romanian
        "ex dott sig MM Mme Mlle Mgr env apr av chap éd Sra Sras Sres Srta Dra Dña Ud Uds Vd",
        "Vds Lic Arq pág",
        "págs núm tel aprox ej Exmo Exma Av Eng Sig Sigg Dott Avv Arch Geom pag pagg dl dna",
        "EE Cra Dir",
        // Polish, Czech, Slovak, Croatian, Hungarian, Turkish
        "np napr tzn tzw ul prof inż mgr hab św gen płk zob např tj tzv mj mudr judr gđa gosp",
        "ún kb dr",
        "Doç Sn Yrd Öğr",
        // Russian, Ukrainian, Bulgarian, Greek
        "гг вв ул пр пер им тыс млн млрд руб коп проф акад доц стр рис табл см ср напр др обл св",
        "тел ред изд грн вул пгт пл δηλ βλ αρ σελ Δρ",
        // Hindi, Marathi
        "डॉ डा प्रो पं श्री कु मि",
    ])
});

/// More of them in a text without capitals, where they are no words: those above that have a capital,
/// and those after which a sentence may go on.
static LOWERED: Words = LazyLock::new(|| {
    words(&[
        "mr mrs ms mx dr drs prof rev fr sr jr st ste mt ft col lt maj capt cpl sgt cmdr gov sen supt",
        "insp messrs mmes esq inc ltd corp bros univ dept ave blvd rd etc",
        "hr frl dipl str abb aufl hrsg jh jhd mrd std tel anm skt usw osv enz mme mlle mgr",
        "sra sras sres srta dra dña ud uds vd vds lic arq av exmo exma sigg dott avv geom doç öğr",
        "ecc itd itp stb δρ",
    ])
});

/// Words that a sentence begins with in small letters.
static LOWER_NAMES: Words = LazyLock::new(|| {
    words(&[
        "npm npx pnpm pip pipx git curl wget grep sed awk gcc clang cmake bash zsh ssh scp rsync sudo",
        "vim nginx systemd kubectl sqlite numpy scipy matplotlib pytest jq ffmpeg rustc rustup tmux",
        "xargs webpack eslint stdin stdout stderr adidas",
    ])
});

/// Their full stop ends a sentence unless a number follows: some are words too.
static NUMBERED: Words = LazyLock::new(|| {
    words(&[
        "No Nos no nos Nr nr Nrn num art Art sec Sec vol Vol ch Ch pp pt Pt app App Abs Bd Ziff",
        "Rz Rn lit fl čl poz str ст гл пп кв Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Okt",
        "Dez jan janv feb févr mar avr abr juil ago août set sept okt oct nov dic dec déc Mon Tue",
        "Tues Wed Thu Thurs Fri Sat Sun",
    ])
});

/// Words that begin sentences and are no part of a name.
static STARTERS: Words = LazyLock::new(|| {
    words(&[
        // English
        "The This That These Those There Then Thus He She It They We You I His Her Its Their Our",
        "My Your A An In At By For From With After Before During Since Until While When Where Who",
        "What Why How If As But And Or So Although Because However Also Both Some Many Most Each",
        "Every All Another Other Only Once Here Now Not To Today Did Do",
        "Does Is Are Was Were Have Has Had Can Could Would Should Let",
        // German, Dutch, Scandinavian
        "Der Die Das Er Sie Es Wir Ich Ein Eine Im Am Auf Bei Mit Nach Seit Für Dies Diese Dieser",
        "Dieses Aber Und Doch Auch Als Wenn Da Dann Wie Was Wer Wo Het Een Hij Zij Ze Wij Dit",
        "Maar Han Hon Hun Det Men Och Og",
        // French, Spanish, Portuguese, Italian
        "Il Elle Ils Elles Nous Vous Les Une Ce Cette Ces Dans Mais Et Pour Él Ella Ellos Los Las",
        "Una Este Esta Esto Pero Y Por Para Con Ele Ela Isso Mas Lui Gli Questo Questa Nel Ma",
        // Polish, Russian, Ukrainian
        "Ona Oni Jest Ale Он Она Оно Они Мы Вы Это Этот Эта В На Но И По Для Как Він Вона Це",
    ])
});

/// Words before a German ordinal ("am 3. Oktober", "der 2. Weltkrieg").
static ORDINAL_LEADS: Words = LazyLock::new(|| {
    words(&[
        "am vom zum beim im dem den der des die das ab bis seit Am Vom Zum Im Der Die Das Ab Bis",
        "Seit",
    ])
});

/// Words after a German ordinal, whatever is before it.
static ORDINAL_NOUNS: Words = LazyLock::new(|| {
    words(&[
        "Januar Jänner Februar März April Mai Juni Juli August September Oktober November",
        "Dezember Jahrhundert Jahrhunderts Jahrtausend Auflage Kapitel Klasse Platz Stock",
        "Lebensjahr",
    ])
});

fn words(lines: &[&'static str]) -> HashSet<&'static str> {
    lines.iter().flat_map(|line| line.split(' ')).collect()
}

/// Whether `words` hold `word`, or the one that is only capital because it begins a sentence.
fn holds_either(words: &HashSet<&str>, word: &str) -> bool {
    let mut chars = word.chars();
    let lowered = chars.next().into_iter().flat_map(char::to_lowercase).chain(chars);
    words.contains(word) || words.contains(lowered.collect::<String>().as_str())
}

/// Whether `words` hold `word` with a capital.
fn holds_capital(words: &HashSet<&str>, word: &str) -> bool {
    let mut chars = word.chars();
    let raised = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars);
    words.contains(raised.collect::<String>().as_str())
}

pub(super) fn is_abbreviation(word: &str, case: Case) -> bool {
    holds_either(&ABBREVIATIONS, word) || (case == Case::Lower && LOWERED.contains(word))
}

pub(super) fn is_numbered(word: &str, case: Case) -> bool {
    holds_either(&NUMBERED, word) || (case == Case::Lower && holds_capital(&NUMBERED, word))
}

/// Whether a word is written in small letters wherever it stands.
pub(super) fn is_lower_name(word: &str) -> bool {
    LOWER_NAMES.contains(word)
}

pub(super) fn is_starter(word: &str) -> bool {
    STARTERS.contains(word)
}

/// Whether a number between the two words is an ordinal.
pub(super) fn is_ordinal(before: &str, after: &str, case: Case) -> bool {
    ORDINAL_LEADS.contains(before)
        || ORDINAL_NOUNS.contains(after)
        || (case == Case::Lower && holds_capital(&ORDINAL_NOUNS, after))
}
