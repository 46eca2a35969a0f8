"""Scores small texts with the usual tools, for `tests/eval_scores.rs`.

    pip install sacrebleu==2.6.0 jiwer==4.0.0 scikit-learn==1.9.1 more-itertools regex
    pip download --no-deps --no-binary :all: openai-whisper==20250625 && tar xzf openai_whisper-20250625.tar.gz
    PYTHONPATH=openai_whisper-20250625/whisper python make.py > scores.json
"""

import json
import random

import jiwer
import sacrebleu
import sklearn
from normalizers import BasicTextNormalizer, EnglishTextNormalizer  # from openai-whisper's source: the package itself needs torch
from sacrebleu.metrics import BLEU, CHRF
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

ENGLISH = [
    "Hello, World!", "", "   ", "Mr. Smith won't say what he's been doing; it's Dr. Jones's colour.", "I can't, y'all ain't gonna.",
    "He paid $20 million and fifty cents for twenty one cars.", "one oh one", "nineteen eighty four", "two thousand and twenty six",
    "twenty first of may, 1st, 2 nd, 3rd", "the nineteen sixties and the 1960s", "three point one four one five", "one and a half hours",
    "five and a half million", "and a half", "he and a half dozen others", "minus ten degrees", "plus or minus", "ninety nine percent",
    "ninety per cent of 100 per hour", "double seven triple oh", "double trouble", "$1.50 and ¢7", "$2 and ¢7", "$0.07", "£3 5", "1,234,567.89",
    "a 1 and 1s", "section 1.5", "1.", "...", "wait... what", "(laughs) yes [noise] <unk> no ( ) () (a", "hmm mm uh um umm", "it 's me", "naïve café œuvre Łódź straße",
    "ﬁne “quotes” — dash… ½ 10²", "the theatre organised a programme; archaeology practised", "zero point five", "oh no", "one two three", "twenty twenty",
    "one hundred twenty three thousand four hundred fifty six", "hundred thousand", "three hundredths", "millions of dollars", "five dollars ten cents",
    "fourteen hundred", "seventy five thousandth", "a b c 4d e5f 6 th 7 s 8 street", "st. john's st", "we'd gone, they'd been, she'd done, he's got, I'd go",
    "i'ma imma woulda ma'am", "won't've", "100% sure %", "$ 5 .5 5.", "forty two point", "point", "point five", "one point two point three", "1.2.3 4 million",
    "2.5 million", "2.55 hundred", "minus minus five", "positive thinking", "negative 5", "ten eleven", "twelve thirteen", "thirty sixteen", "one eleven", "seven ones",
    "sixes and sevens", "twelfth night", "nineth ninth fifth eighth twentieth twenties", "£5 and pence", "five pounds", "5 pounds 6", "per cent", "percent", "5 per", "and", "five and six",
    "hundred and five", "two hundred and", "decillion quintillions", "0 million", "zero million", "00 thousand", "7 0 7", "oh 7", "o seven", "one hundredth", "snake_case mr_x um_", "‘curly’ it’s",
]
CHINESE = ["你好，世界！", "今天 天气（很好）不错。", "我有３只猫", "Ａｂｃ 你[噪声]好", "", "2024年5月1日", "「引号」——破折号…"]
PAIRS = [
    ("the cat sat on the mat", "the cat sat on mat"), ("the cat sat on the mat", "a cat is sitting on the mat today"), ("yes", ""), ("one two three", "three two one"),
    ("hello world", "hello world"), ("a b c d e f g", "b c d e f g h"), ("a a a a", "a a"), ("x", "x x x x"), ("please turn on the kitchen light", "please turn of the light light"),
]
TRANSLATIONS = [
    ("The cat sat on the mat.", "The cat is sitting on the mat."), ("Hello, world!", "Hello world"), ("It costs $3.50, not 1,000.", "It costs $3.50 and not 1,000."),
    ("", "Something was said."), ("A completely wrong line - 5-6 of it", "nothing alike here"), ("He said: \"go & come\" <skipped> x", "He said: &quot;go &amp; come&quot; x"),
    ("Version 2.0... is out,now", "Version 2.0 ... is out, now"), ("a.b,c 3.x y,4 12-13 e-mail", "a.b,c 3.x y,4 12-13 e-mail"), ("(brackets) {curly} [square] ~tilde~ ^caret `tick`", "(brackets) {curly} [square] ~ tilde ~ ^ caret ` tick `"),
]
CHINESE_TRANSLATIONS = [
    ("今天天气很好。", "今天的天气非常好。"), ("我喜欢 machine learning，你呢？", "我很喜欢 machine learning, 你呢？"), ("", "什么都没有"), ("他说“你好”——然后走了…", "他说：“你好”，然后走了。"),
    ("价格是３.５元 2.5 kg", "价格是3.5元 2.5kg"), ("完全不同", "毫无关系的句子"), ("𠀀字 ™ × ÷ ①", "𠀀字 ™ × ÷ ①"),
]


def edits(out):
    return {"hits": out.hits, "substitutions": out.substitutions, "deletions": out.deletions, "insertions": out.insertions}


def corpus(pairs, tokenize):
    hypotheses, references = [h for h, _ in pairs], [r for _, r in pairs]
    bleu, chrf = BLEU(tokenize=tokenize), CHRF()
    score, chars = bleu.corpus_score(hypotheses, [references]), chrf.corpus_score(hypotheses, [references])
    return {
        "pairs": pairs, "tok": tokenize, "bleu": score.score, "counts": [score.sys_len, score.ref_len, *score.counts, *score.totals],
        "chrf": chars.score, "bleu_signature": str(bleu.get_signature()), "chrf_signature": str(chrf.get_signature()),
        "words": [bleu.tokenizer(h.rstrip()) for h in hypotheses],
    }


def main():
    random.seed(9)
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    words = "a b c d e".split()
    drawn = [tuple(" ".join(random.choices(words, k=random.randint(1, 14))) for _ in range(2)) for _ in range(60)]
    corpora = [corpus(TRANSLATIONS, "13a"), corpus(CHINESE_TRANSLATIONS, "zh"), corpus(TRANSLATIONS[4:5], "13a"), corpus([("one two three", "one two three")], "13a"), corpus([("一 二", "一 三")], "zh"), corpus([("", "x")], "13a")]
    rows = random.choices(TRANSLATIONS, k=30)
    corpora.append(corpus([(h, random.choice(rows)[1] if random.random() < 0.2 else r) for h, r in rows], "13a"))
    scores = [(round(random.gauss(0.4 * y, 1), 1), y) for y in random.choices([0, 1], k=80)]
    truth, said = [y for _, y in scores], [int(s > 0) for s, _ in scores]
    print(json.dumps({
        "origin": f"make.py with sacrebleu {sacrebleu.__version__}, jiwer 4.0.0, scikit-learn {sklearn.__version__}, openai-whisper 20250625",
        "english": [[t, " ".join(english(t).split())] for t in ENGLISH],
        "chinese": [[t, "".join(basic(t).split())] for t in CHINESE],
        "words": [{"said": r, "heard": h, **edits(jiwer.process_words(r, h)), "rate": jiwer.wer(r, h)} for r, h in PAIRS + drawn],
        "characters": [{"said": r, "heard": h, **edits(jiwer.process_characters(r, h)), "rate": jiwer.cer(r, h)} for r, h in [("今天天气很好", "今天的天气好"), ("你好", "你好吗"), ("他走了", "她来了吧")]],
        "corpus_rate": jiwer.wer([r for r, _ in PAIRS], [h for _, h in PAIRS]),
        "corpora": corpora,
        "roc": {"scores": scores, "auc": roc_auc_score(truth, [s for s, _ in scores]), "balanced_accuracy": balanced_accuracy_score(truth, said)},
    }, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    main()
