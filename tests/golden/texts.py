"""The texts whose vectors are golden: ordinary English, many scripts, and what breaks tokenisers.

Readable characters are written as they are; invisible, combining or unassigned ones as escapes. No text holds a lone
surrogate, so that every one of them is valid UTF-8.
"""

SENTENCES = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A woman is playing the violin in an empty concert hall.",
    "Two men pushed carts through the woods.",
    "A cheetah is running behind its prey.",
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
    "The stadium was full an hour before kick-off.",
    "How do I reset my password?",
    "I forgot my login details and cannot get into my account.",
    "Where can I change the e-mail address of my profile?",
    "Please cancel my subscription and refund the last payment.",
    "The parcel was delivered to the wrong house.",
    "What is the capital of France?",
    "Paris is the capital and largest city of France.",
    "Berlin, not Bonn, has been Germany's capital since reunification.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "Mitochondria are often called the powerhouse of the cell.",
    "The enzyme is inhibited at low pH and denatures above 60 degrees Celsius.",
    "Black holes emit thermal radiation because of quantum effects near the horizon.",
    "A neutron star packs more mass than the Sun into a ball twenty kilometres wide.",
    "The theorem fails when the operator is not bounded.",
    "Every continuous function on a closed interval attains its maximum.",
    "The derivative of the natural logarithm is the reciprocal function.",
    "Gradient descent may stall on a plateau if the learning rate is too small.",
    "The model was fine-tuned on one billion sentence pairs with a contrastive objective.",
    "Embeddings of similar sentences should lie close to each other.",
    "Cosine similarity ignores the length of the vectors.",
    "The database index was rebuilt overnight, and the queries are fast again.",
    "A deadlock occurs when two transactions wait for each other's locks.",
    "Rust's borrow checker rejects programs that alias mutable references.",
    "Garbage collection pauses made the service miss its latency target.",
    "The pull request removes an unused dependency and adds a regression test.",
    "Our on-call engineer was paged at three in the morning because the disk was full.",
    "The central bank raised interest rates by a quarter of a percentage point.",
    "Inflation eased for the third month in a row, but rents kept rising.",
    "Shares fell sharply after the company warned about weaker demand.",
    "The plaintiff alleges that the contract was breached in bad faith.",
    "The court dismissed the appeal as inadmissible.",
    "Tenants must give written notice at least ninety days before moving out.",
    "Take one tablet twice a day with food, and do not drink alcohol.",
    "The patient presented with a persistent cough and mild fever.",
    "Vaccination reduced hospital admissions among people over seventy.",
    "Stretch gently before running, and stop if your knee starts to hurt.",
    "Preheat the oven to 220 degrees and line a baking tray with paper.",
    "Fold the egg whites into the batter without knocking out the air.",
    "This ramen shop simmers its broth for eighteen hours.",
    "The wine tastes of blackcurrant, cedar and a little smoke.",
    "She scored twice in stoppage time to win the cup.",
    "The goalkeeper was sent off after a reckless challenge.",
    "Rain delayed the second day of the test match until after lunch.",
    "The orchestra tuned to an A from the oboe.",
    "His second album is slower, sadder and far better than the first.",
    "The painting was attributed to a pupil of Rembrandt for two centuries.",
    "The novel opens with a funeral and ends with a wedding.",
    "I could not put the book down, although the ending disappointed me.",
    "The film is too long by half an hour, yet the final scene redeems it.",
    "Worst hotel I have ever stayed in: noisy, dirty and overpriced.",
    "Friendly staff, spotless rooms, and the best breakfast in town!",
    "The battery lasts two days, but the camera is mediocre in low light.",
    "These shoes run small; order one size up.",
    "The Roman road is still visible as a straight line of hedges.",
    "The treaty was signed in 1648 and ended thirty years of war.",
    "Archaeologists found a bronze mirror in the grave of a young woman.",
    "The glacier has retreated by more than a kilometre since 1990.",
    "Heavy rain caused landslides that blocked the mountain pass.",
    "Bees communicate the direction of flowers by dancing.",
    "The octopus opened the jar from the inside.",
    "Wolves returned to the valley after an absence of a hundred years.",
    "Prune the roses in late winter, just above an outward-facing bud.",
    "The tide comes in faster than a person can walk across the sand.",
    "The train to Edinburgh departs from platform nine at 14:05.",
    "Mind the gap between the train and the platform.",
    "Our flight was cancelled, so we slept on the airport floor.",
    "Turn left at the lighthouse and follow the coastal path for two miles.",
    "You do not need a visa for stays of up to ninety days.",
    "Children learn to read at very different speeds.",
    "The lecture will be recorded and published on the course page.",
    "He apologised, but nobody believed that he meant it.",
    "My grandmother kept every letter that he ever sent her.",
    "I am not angry, I am only tired.",
    "No, I did not say that she stole the money.",
    "The dog bit the man.",
    "The man bit the dog.",
    "Colorless green ideas sleep furiously.",
    "Buffalo buffalo Buffalo buffalo buffalo buffalo Buffalo buffalo.",
    "The old man the boat.",
    "Time flies like an arrow; fruit flies like a banana.",
    "The quick brown fox jumps over the lazy dog.",
    "To be, or not to be, that is the question.",
    "Call me Ishmael.",
    "All happy families are alike; each unhappy family is unhappy in its own way.",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
    "gonna grab some food brb, u want anything??",
    "lol that's soooo funny hahahahaha",
    "Thx 4 the info, c u 2moro!",
]

PARAGRAPHS = [
    "The harbour had been silting up for a hundred years before anyone thought of measuring it. When the engineers came "
    "with their poles and their boats, they found that a merchant ship of ordinary draught could enter on eleven days of "
    "the month, and leave safely on nine of them. The council read the report, thanked the engineers, and filed it. Two "
    "winters later a grain ship broke her back on the bar in a light breeze, within sight of the customs house, and the "
    "report was found again.",
    "A hash table stores each key at a position that is computed from the key itself. As long as few keys share a "
    "position, finding one costs about the same however many there are. Trouble starts when the table fills up: probes "
    "grow longer, caches miss more often, and a lookup that took nanoseconds takes microseconds. Good implementations "
    "therefore grow the table before it is full, and choose a hash function that an attacker cannot predict.",
    "Sourdough needs patience more than skill. Mix flour and water, leave the dough alone for half an hour, and only "
    "then add the salt and the starter. Fold it every thirty minutes until it feels alive under your hands. Overnight in "
    "the refrigerator the flavour deepens, and in the morning a hot iron pot gives the loaf its dark, crackling crust.",
    "Most of the energy that reaches a city leaves it again as waste heat. Trains brake, kitchens cook, servers "
    "calculate, and the warmth drifts out of windows and up from gratings in the pavement. Engineers have begun to catch "
    "some of it: a data centre now warms the swimming pool next door, and the sewers of one district heat four thousand "
    "flats through the winter.",
    "Nobody in the village could remember who had planted the walnut tree. It stood where the three roads met, older "
    "than the church, and the children believed that it moved a little every night. On market days the farmers tied "
    "their horses in its shade and argued about the weather, about taxes, and about the new teacher, who was said to "
    "read foreign newspapers at breakfast.",
    "Clinical trials compare a new treatment with an old one, or with none at all. Patients are assigned at random, so "
    "that differences between the groups at the end can be blamed on the treatment rather than on age, income or luck. "
    "Neither the doctors nor the patients should know who received what; hope is a powerful medicine, and it spoils "
    "experiments.",
    "The bicycle is the most efficient vehicle ever built. On a level road a cyclist spends less energy per kilometre "
    "than a walker, a horse, a car or a jet. The secret lies in the wheel, which wastes almost nothing, and in the "
    "muscles of the thigh, which work at a steady and comfortable rhythm once the gears have been chosen well.",
    "When the violins entered, she put down her pencil. She had heard the piece a dozen times on the radio, but never in "
    "a room, and never from so close that she could hear the players breathe. The slow movement began almost without "
    "sound. Somewhere behind her a chair creaked, and she hated its owner with a passion that surprised her.",
    "Property prices in the capital have doubled in a decade, while wages have risen by a fifth. Young families move to "
    "the outer suburbs, and teachers, nurses and bus drivers commute for three hours a day. The mayor has promised forty "
    "thousand new homes; the opposition asks where the water for them is to come from.",
    "Migrating birds find their way by the sun, by the stars, by the smell of the sea, and by a sense for the magnetic "
    "field of the Earth that is still poorly understood. A godwit once flew from Alaska to Tasmania without landing: "
    "eleven days and nights over open ocean, asleep with one half of its brain at a time.",
]

SCRIPTS = [
    # Chinese, Japanese, Korean.
    "今天天气很好，我们去公园散步吧。",
    "人工智能正在改变世界。",
    "臺灣的夜市有許多好吃的小吃。",
    "𠀀𠀁𪚥 are ideographs beyond the basic plane.",
    "私は毎朝コーヒーを飲みます。",
    "東京は日本の首都です。カタカナとひらがな。",
    "ｶﾀｶﾅ half width, ＡＢＣ１２３ full width",
    "か\u3099き\u3099く\u3099 and がぎぐ",
    "오늘 날씨가 정말 좋네요.",
    "\u1112\u1161\u11ab\u1100\u1173\u11af is 한글 decomposed",
    "中文和English混合の文章です 123。",
    # Right to left.
    "السلام عليكم ورحمة الله وبركاته",
    "القِطَّةُ تَجْلِسُ عَلَى السَّجَّادَةِ.",
    "یک متن کوتاه به زبان فارسی",
    "اردو میں ایک جملہ۔",
    "שלום עולם, מה שלומך היום?",
    "שָׁלוֹם עֲלֵיכֶם",
    "English then עברית then English \u200frtl mark\u200e",
    # South and South-East Asia.
    "สวัสดีครับ ยินดีต้อนรับสู่ประเทศไทย",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "क्षत्रिय ज्ञान श्री",
    "আমি বাংলায় গান গাই।",
    "தமிழ் ஒரு செம்மொழி.",
    "తెలుగు భాష",
    "မြန်မာဘာသာ",
    "ភាសាខ្មែរ",
    "བོད་སྐད་",
    "Tôi yêu tiếng Việt và phở bò.",
    # Cyrillic, Greek and their neighbours.
    "Привет, мир! Как дела?",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Україна — найбільша країна Європи.",
    "Жълтата дюля беше щастлива.",
    "Καλημέρα κόσμε, τι κάνεις;",
    "ΟΔΥΣΣΕΥΣ ΣΙΣΥΦΟΣ final sigmas",
    "ἐν ἀρχῇ ἦν ὁ λόγος",
    "Բարեւ աշխարհ",
    "გამარჯობა მსოფლიო ᲒᲐᲛᲐᲠᲯᲝᲑᲐ",
    "ሰላም ለዓለም",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ꭰꭱꭲ",
    # Latin with accents.
    "Façade, naïve, coöperate, résumé, Übermensch, smörgåsbord.",
    "Fac\u0327ade, nai\u0308ve, coo\u0308perate, re\u0301sume\u0301, U\u0308bermensch, smo\u0308rga\u030asbord.",
    "Zażółć gęślą jaźń.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "İstanbul'da ığdır ve IĞDIR, i İ ı I",
    "Straße STRASSE \u1e9e \u00df",
    "Łódź, Đakovo, Ørsted, Þórr, Æsir, œuvre",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia.",
    "L'été où j'ai vu la mer pour la première fois.",
    "Ich möchte bitte zwei Brötchen und einen Kaffee.",
    "\u01c4\u01c5\u01c6 \ufb01\ufb02\ufb00 \u0133 digraphs and ligatures",
    "𝓗𝓮𝓵𝓵𝓸 𝕎𝕠𝕣𝕝𝕕 𝐛𝐨𝐥𝐝 ⓒⓘⓡⓒⓛⓔⓓ ᴄᴀᴘs H₂O x² Ⅷ ½",
    "Z\u0351\u036b\u0343a\u0343\u0302l\u033f\u034bg\u0324\u0301o\u0307\u033a piles marks",
]

EMOJI = [
    "😀",
    "I love pizza 🍕🍕🍕 and coffee ☕!",
    "Family: 👨\u200d👩\u200d👧\u200d👦, flag: 🏳\ufe0f\u200d🌈, coder: 👩🏽\u200d💻",
    "🇩🇪🇫🇷🇯🇵 flags, and one half of one: 🇩",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f is England",
    "👍👍🏻👍🏼👍🏽👍🏾👍🏿",
    "\u2764 \u2764\ufe0f \u2764\ufe0e 1\ufe0f\u20e3 #\ufe0f\u20e3",
    "great🔥job🔥team",
    "¯\\_(ツ)_/¯ (╯°□°)╯︵ ┻━┻ ʕ•ᴥ•ʔ",
    ":-) :( ;P <3 xD",
]

CODE = [
    "fn main() {\n    let v: Vec<u8> = (0..10).collect();\n    println!(\"{v:?}\");\n}",
    "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 42); return 0; }",
    "const f = async (x) => { const r = await fetch(`/api/${x}`); return r?.json() ?? {}; };",
    "SELECT u.id, COUNT(*) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY 1 HAVING COUNT(*) > 3;",
    "public static <T extends Comparable<T>> T max(List<? extends T> xs) { return Collections.max(xs); }",
    "main :: IO ()\nmain = mapM_ print . takeWhile (< 100) $ iterate (*2) 1",
    "for f in *.txt; do grep -nE '^[A-Z]+_[0-9]{2,}' \"$f\" | sort -u >> out.log; done",
    "package main\n\nfunc main() {\n\tch := make(chan int, 3)\n\tgo func() { ch <- 1 }()\n}",
    "lambda x: x**2 if x % 2 == 0 else ~x & 0xFF",
    "snake_case_name camelCaseName PascalCaseName kebab-case-name SCREAMING_SNAKE",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nKeyError: 'id'",
    "error[E0502]: cannot borrow `x` as mutable because it is also borrowed as immutable",
    "diff --git a/x b/x\n@@ -1,2 +1,2 @@\n-old line\n+new line",
    "\\frac{\\partial f}{\\partial x} = \\sum_{i=1}^{n} \\alpha_i x_i^{2}",
    "∀x∈ℝ: x² ≥ 0 ∧ ∫₀^∞ e^{−x} dx = 1",
    "^(?:(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)(?:\\.(?!$)|$)){4}$",
]

MARKUP = [
    "<!DOCTYPE html><html><body><p class=\"a\">Hello &amp; <b>goodbye</b>&nbsp;</p></body></html>",
    "<?xml version=\"1.0\"?><root><item id='1'/><![CDATA[ <raw> ]]></root>",
    "# Title\n\n* one\n* **two**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```rust\nlet x = 1;\n```",
    "{\"id\": 17, \"tags\": [\"a\", \"b\"], \"nested\": {\"ok\": true, \"n\": null, \"x\": -1.5e-3}}",
    "name: chunkflow\nsteps:\n  - run: make check\n    if: ${{ github.ref == 'refs/heads/main' }}",
    "id,name,price\n1,\"Smith, John\",3.50\n2,\"O\"\"Neil\",4.00",
    "[section]\nkey = \"value\" ; comment",
    "GET /index.html HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg",
]

WHITESPACE = [
    "",
    " ",
    "     ",
    "\t\t\t",
    "\n",
    "\r\n\r\n",
    " \t\n\r\f\v ",
    "\u00a0\u2003\u3000",
    "  leading and trailing spaces  ",
    "\n\nleading newlines and trailing tab\t",
    "words    with     many      spaces",
    "tab\tseparated\tvalues\there",
    "unix\nline\nends",
    "dos\r\nline\r\nends\r\n",
    "old mac\rline\rends",
    "all\nof\r\nthem\rtogether\u2028line separator\u2029paragraph separator\u0085next line\x0bvertical\x0cfeed",
    "next\u0085line",
    "no\u00a0break\u202fspaces\u2007everywhere\u2060here",
    "ogham\u1680space en\u2002space thin\u2009space ideographic\u3000space medium\u205fspace",
]

INVISIBLE = [
    "nul\x00in the middle",
    "\x00",
    "\x00\x00 leading nuls",
    "\ufeffbyte order mark first",
    "byte order \ufeff mark inside",
    "zero\u200bwidth\u200cspaces\u200dand\u2060joiners\ufeff",
    "soft\u00adhyphen\u00adation",
    "control\x01chars\x02here\x07bell\x08backspace\x1bescape\x7fdelete",
    "c1\x80controls\x9fhere\x96and\x97there",
    "\x1b[31mred\x1b[0m terminal colours",
    "replacement \ufffd character\ufffd\ufffd",
    "\u202eright-to-left override\u202c and \u2066isolates\u2069",
    "\ufff9annotated\ufffatext\ufffb",
    "variation\ufe0fselectors\U000e0100here",
    "\u0301\u0302\u0303",
    "a\u0301\u0301\u0301\u0301",
    "\u200b",
    "\u0000\u0001\u0002\u0003",
]

CODE_POINTS = [
    "private \ue000\uf8ff use \U000f0000\U0010fffd planes",
    "noncharacters \ufdd0\ufffe\uffff\U0001ffff\U0010ffff",
    "unassigned \u0378\u0530\u2fe0\U0001fbff\U000e0080 code points",
    "recent \u1c89\u1c8a \ua7cb \U00010d40\U00010d50 \U0001f6d8 \U0001fae9 additions",
    "\ue000word\ue001word",
    "𐍈𐌰𐌹 𒀀𒁀 𓂀𓃠 𐤀𐤁 ancient scripts",
    "☀☁☂♠♣♥♦♪♫ ←↑→↓⇒⇔ ■□▲△●○ ─│┌┐└┘",
    "€£¥₹₽₿¢ §¶†‡•…‰™®© ªº",
]

PUNCTUATION = [
    ".",
    "?",
    "...",
    "!!!???!?!?!?",
    "--- *** === ### ~~~ ___",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "“Curly quotes”, ‘single’, «guillemets», „low“, 「鉤括弧」, ¿qué?, ¡sí!",
    "em—dash en–dash hyphen-minus minus−sign bar―bar",
    "e.g. i.e. U.S.A. Ph.D. a.m. Mr. Dr. No. 5",
    "don't can't won't it's y'all rock'n'roll O'Neil",
    "well-known state-of-the-art mother-in-law",
    "((((nested) brackets) {of [every <kind>]}))",
    "a/b\\c|d&e+f=g@h#i%j^k~l",
    "." * 300,
]

CASING = [
    "hello world",
    "Hello World",
    "HELLO WORLD",
    "hElLo WoRlD",
    "NASA and nasa, US and us, Polish and polish",
    "iPhone eBay McDonald's LaTeX macOS GitHub",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.",
    "ÀÉÎÕÜ ÇÑŠŽ ВСЕ БОЛЬШИЕ ΟΛΑ ΚΕΦΑΛΑΙΑ",
]

NUMBERS = [
    "0",
    "42",
    "3.14159265358979323846264338327950288419716939937510",
    "1,234,567.89 or 1.234.567,89 or 1 234 567,89",
    "-273.15 °C, 6.02e23, 0x1F, 0b1010, 1/3, 50%, 10^9, 1e-7",
    "2024-02-29T23:59:60.123456+05:30",
    "+49 (0)30 1234-5678, ext. 90",
    "IBAN DE89 3704 0044 0532 0130 00",
    "550e8400-e29b-41d4-a716-446655440000",
    "192.168.0.1 fe80::1ff:fe23:4567:890a 00:1A:2B:3C:4D:5E",
    "٠١٢٣٤٥٦٧٨٩ ०१२३ 一二三 Ⅳ ① ⁵",
    "1st 2nd 3rd 21st 100th mid-1990s",
    "$19.99 €5 £1m ¥100 ₹2,50,000",
    "1234567890" * 20,
]

SPECIAL_TOKENS = [
    "[CLS]",
    "[SEP]",
    "[PAD] [PAD] [PAD]",
    "[CLS] the special tokens as text [SEP]",
    "[SEP] [MASK] [PAD] [UNK]",
    "Paris is the [MASK] of France.",
    "a[SEP]b[CLS]c",
    "[cls] [sep] [Mask] [unknown]",
    "[ CLS ] [CLS [SEP",
    "<s> </s> <pad> <unk> <mask> <|endoftext|> <|im_start|>user",
    "##ing ##s un ##able [unused0] [unused1]",
    "query: what is love passage: baby don't hurt me",
]

_LETTERS = "pneumonoultramicroscopicsilicovolcanoconiosis"


def _word(length):
    return (_LETTERS * (length // len(_LETTERS) + 1))[:length]


LONG_WORDS = [
    *(_word(length) for length in (99, 100, 101, 500, 5000)),
    *(f"before {_word(length)} after" for length in (99, 100, 101)),
    "é" * 100,
    "é" * 101,
    "e\u0301" * 100,
    "antidisestablishmentarianism floccinaucinihilipilification",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "a" * 3000,
    "漢" * 400,
    "😀" * 150,
    "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 12,
]

URLS = [
    "https://example.org/",
    "https://example.org/images/cat.png",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "mailto:jane.doe+news@example.co.uk",
    "C:\\Users\\jane\\Documents\\report (final) v2.docx",
    "/usr/local/share/doc/chunkflow/README.md",
    "See https://en.wikipedia.org/wiki/Sentence_embedding#Evaluation (accessed 3 May 2024).",
    "https://example.org/search?" + "&".join(f"key{i}=value%20{i * 7919}" for i in range(60)),
    "https://example.org/" + "/".join(f"segment-{i:04x}" for i in range(400)),
    "https://example.org/" + _word(2000),
]

# Lengths in tokens, special tokens included, of the texts that are cut to measure; 256 is where the model truncates.
MEASURED_LENGTHS = (254, 255, 256, 257, 2000)

LITERAL_TEXTS = [
    *WHITESPACE,
    "a",
    *SENTENCES,
    *PARAGRAPHS,
    "\n\n".join(PARAGRAPHS),
    *SCRIPTS,
    *EMOJI,
    *CODE,
    *MARKUP,
    *INVISIBLE,
    *CODE_POINTS,
    *PUNCTUATION,
    *CASING,
    *NUMBERS,
    *SPECIAL_TOKENS,
    *LONG_WORDS,
    *URLS,
]


def measured_text(length, count_tokens):
    """English prose, as many whole words of it as make exactly `length` tokens by `count_tokens`."""
    prose = " ".join(PARAGRAPHS).split()
    words = []
    while (count := count_tokens(" ".join(words))) < length:
        words.append(prose[len(words) % len(prose)])
    while count > length:
        words.pop()
        count = count_tokens(" ".join(words))
    return " ".join(words + ["and"] * (length - count))
