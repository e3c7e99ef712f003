// Writes the cases of java17.tsv and properties.tsv: what Java 17's own java.util.regex answers.
//
//   java tests/cases/regex/Generate.java 1 1600 > tests/cases/regex/java17.tsv
//   java tests/cases/regex/Generate.java properties > tests/cases/regex/properties.tsv
//
// The first form takes a seed and a number of patterns. A line is a pattern and, tab-separated, values with "+"
// (matches) or "-" (doesn't) before them, or a single "!" when the pattern is a syntax error. Everything outside
// printable ASCII, and "%", is percent-encoded UTF-8.

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.regex.*;

public class Generate {
    static Random random;
    static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    public static void main(String[] arguments) {
        if (arguments[0].equals("properties")) {
            properties();
        } else {
            random = new Random(Long.parseLong(arguments[0]));
            cases(Integer.parseInt(arguments[1]));
        }
        out.flush();
    }

    static void cases(int count) {
        Set<String> seen = new HashSet<>();
        while (seen.size() < count) {
            Topic topic = Topic.values()[random.nextInt(Topic.values().length)];
            groups = 0;
            String pattern = topic.pattern();
            if (seen.add(pattern)) write(pattern, topic.alphabet);
        }
    }

    static void write(String pattern, String[] alphabet) {
        StringBuilder line = new StringBuilder(encode(pattern));
        try {
            Pattern compiled = Pattern.compile(pattern);
            List<String> matching = new ArrayList<>(), others = new ArrayList<>();
            for (String value : values(alphabet)) (compiled.matcher(value).matches() ? matching : others).add(value);
            int kept = 0;
            for (String value : matching) if (kept++ < 3) line.append("\t+").append(encode(value));
            for (String value : others) if (kept++ < 6) line.append("\t-").append(encode(value));
        } catch (PatternSyntaxException bad) {
            line.append("\t!");
        } catch (NullPointerException | StringIndexOutOfBoundsException javaBug) {
            // Java 17 trips over some misplaced && in classes and some back references to supplementary characters.
            return;
        }
        out.println(line);
    }

    static Set<String> values(String[] alphabet) {
        List<String> values = new ArrayList<>(List.of(""));
        for (String a : alphabet) {
            values.add(a);
            for (String b : alphabet) values.add(a + b);
        }
        for (int i = 0; i < 80; i++) {
            StringBuilder value = new StringBuilder();
            for (int length = 3 + random.nextInt(6); length > 0; length--) value.append(pick(alphabet));
            values.add(value.toString());
        }
        Collections.shuffle(values, random);
        return new LinkedHashSet<>(values);
    }

    enum Topic {
        STRUCTURE("a", "b", "c") {
            String pattern() { return expression(4); }
        },
        NULLABLE("a", "b") {
            String pattern() { return expression(3) + pick("", "$", "\\b", "(?=a|$)") + expression(2); }
        },
        LINES("a", "\n", "\r", "\r\n", "\u0085", "\u2028") {
            String atom() { return pick("a", ".", "$", "^", "\\Z", "\\z", "\\A", "\\R", "\\s", "\\n", "\\r", "\\v", "\\G", "[^a]", "(?s:.)"); }
            String pattern() { return pick("", "", "(?m)", "(?d)", "(?md)", "(?s)") + expression(3); }
        },
        WORDS("a", "_", " ", "\u00e9", "\u0301", "9", "\u0660") {
            String atom() { return pick("a", "\\b", "\\B", "\\w", "\\W", ".", "\\d", "\\s", "\u00e9", "\\h", "\\p{L}", "\\p{Punct}", "\\b"); }
            String pattern() { return pick("", "", "", "(?U)", "(?i)") + expression(3); }
        },
        CASES("a", "A", "k", "K", "\u212a", "\u00df", "\u1e9e", "\u017f", "s", "\u0130", "\u0131", "i", "I", "\u00e9", "\u00c9",
              "\u01c5", "\u01c4", "\u01c6", "\u03c3", "\u03c2", "\u03a3", "\ud801\udc00", "\ud801\udc28", "\u00b5", "\u03bc") {
            String atom() { return pick(pick(alphabet), pick(alphabet) + pick(alphabet), "[" + pick(alphabet) + pick(alphabet) + "]",
                "[^" + pick(alphabet) + "]", "[a-z]", "[A-K]", "[\u00e0-\u0180]", "[!-Z]", "\\p{Lu}", "\\p{Lower}", "\\P{Ll}", "\\p{IsUppercase}",
                "\\p{javaLowerCase}", "\\w", "(" + pick(alphabet) + ")\\1", "\\p{Lt}"); }
            String pattern() { return pick("(?i)", "(?iu)", "(?iu)", "(?U)", "(?iU)", "") + expression(1); }
        },
        CLASSES("a", "b", "c", "-", "&", "^", "]", "[", " ", "z", "\\") {
            String pattern() { return pick("", "", "", "(?i)", "(?x)") + characterClass(2) + pick("", "", "+", "*"); }
        },
        CHARACTERS("a", "\u00e9", "\ud83d\ude00", "0", "\t", "\u0001", "\u3000", "\\", "\ufffd") {
            String atom() { return pick("a", ".", "\\x{1F600}", "\\uD83D\\uDE00", "\ud83d\ude00", "\\x61", "\\0141", "\\060", "\\t", "\\cA", "\\u00e9", "[^a]",
                "\\x{e9}", "\\D", "\\S", "\\W", "\\H", "\\V", "\\h", "\\\\", "\\Qa\\E", "\\Q\\\\E", "[\\x00-\\x{10FFFF}]", "\\p{So}", "\\p{IsLatin}", "\\e", "\\a",
                "\\p{ASCII}", "\\P{ASCII}", "\\p{all}", "\\pL", "\\p{gc=Nd}", "\\p{sc=Latin}", "\\p{IsAlphabetic}", "\\p{Cn}", "\\uD83D"); }
            String pattern() { return expressionWithoutLooks(3); }
        },
        COMMENTS("a", "b", " ", "#", "1") {
            String pattern() {
                String text = expression(3);
                StringBuilder spaced = new StringBuilder(pick("(?x)", "(?x)", "(?xd)"));
                for (char c : text.toCharArray()) {
                    spaced.append(c);
                    if (random.nextInt(5) == 0) spaced.append(pick(" ", "\t", "#x\n", " # b\r", "\\ ", "\\#"));
                }
                return spaced.toString();
            }
        },
        SOUP("a", "b", "1", "{", "}", "\\") {
            String pattern() {
                StringBuilder soup = new StringBuilder();
                for (int length = 1 + random.nextInt(8); length > 0; length--)
                    soup.append(pick("a", "b", "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "$", ".", "-", "&&", "1", ",", ":", "<", "=", "!",
                        ">", "(?", "(?:", "(?<", "(?<n>", "\\k<n>", "\\1", "\\Q", "\\E", "{2}", "{1,2}", "{0,}", "(?i)", "(?x:", "(?-i)", "[^", "\\d", "\\p{L}",
                        "\\p", "\\x", "\\u", "\\0", "\\c", "\\N", "\\b", " ", "#", "i", "x", "41", "\\x{", "\\p{", "Lu}", "\\Z", "(?>", "(?=", "(?<="));
                return soup.toString();
            }
        };

        final String[] alphabet;

        Topic(String... alphabet) { this.alphabet = alphabet; }

        abstract String pattern();

        String atom() { return random.nextInt(6) == 0 ? pick(".", "[ab]", "[^a]", "\\w", "\\b", "^", "$") : pick(alphabet); }

        String expression(int depth) { return expression(depth, true); }

        String expressionWithoutLooks(int depth) { return expression(depth, false); }

        String expression(int depth, boolean looks) {
            if (depth == 0) return atom();
            return switch (random.nextInt(looks ? 14 : 9)) {
                case 0 -> atom();
                case 1, 2, 3 -> expression(depth - 1, looks) + expression(depth - 1, looks);
                case 4 -> "(?:" + expression(depth - 1, looks) + "|" + (random.nextInt(4) == 0 ? "" : expression(depth - 1, looks)) + ")" + quantifier();
                case 5 -> atom() + quantifier();
                case 6 -> group(depth, looks) + quantifier();
                case 7 -> "(?:" + expression(depth - 1, looks) + ")" + quantifier() + expression(depth - 1, looks);
                case 8 -> expression(depth - 1, looks) + "|" + expression(depth - 1, looks);
                case 9 -> "(?>" + expression(depth - 1, looks) + ")" + quantifier();
                case 10 -> "(?" + pick("=", "!") + expression(depth - 1, looks) + ")" + (random.nextInt(8) == 0 ? quantifier() : "");
                case 11 -> "(?<" + pick("=", "!") + expression(Math.min(depth - 1, 1), false) + ")";
                case 12 -> group(depth, looks) + expression(depth - 1, looks) + "\\" + (1 + random.nextInt(Math.max(1, groups))) + (random.nextInt(4) == 0 ? quantifier() : "");
                default -> "(?:" + expression(depth - 1, looks) + ")" + pick("*+", "++", "?+", "{1,2}+", "{2}+", "{2,}+") + expression(depth - 1, looks);
            };
        }

        String group(int depth, boolean looks) {
            groups++;
            return "(" + expression(depth - 1, looks) + ")";
        }

        String characterClass(int depth) {
            StringBuilder text = new StringBuilder(pick("[", "[", "[^"));
            for (int items = 1 + random.nextInt(4); items > 0; items--)
                text.append(depth > 0 && random.nextInt(4) == 0 ? characterClass(depth - 1)
                    : pick("a", "b", "c", "z", "a-c", "b-z", "&&", "&&", "&", "-", "^", "\\w", "\\D", "\\]", "\\[", "]", "\\Qa-\\E", " ", "\\p{Lu}", "\\-", "a-", "\\^"));
            return text.append("]").toString();
        }
    }

    static int groups;

    static String quantifier() {
        return pick("*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}", "{0}", "{3}", "{0,1}", "") + pick("", "", "", "?", "+");
    }

    static String pick(String... choices) { return choices[random.nextInt(choices.length)]; }

    static String encode(String text) {
        StringBuilder encoded = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8))
            if (b <= 0x20 || b == 0x7f || b == '%') encoded.append(String.format("%%%02X", b & 0xff));
            else encoded.append((char) b);
        return encoded.toString();
    }

    // A line is a pattern for one character and a hash (FNV-1a over a byte for each code point, surrogates left out)
    // of which characters it matches.
    static void properties() {
        List<String> patterns = new ArrayList<>();
        String names = "Lu Ll Lt Lm Lo L LC LD L1 M Mn Me Mc N Nd Nl No Z Zs Zl Zp C Cc Cf Co Cn P Pd Ps Pe Pc Po Pi Pf S Sm Sc Sk So all ASCII Alnum Alpha "
            + "Blank Cntrl Digit Graph Lower Upper Print Punct Space XDigit javaLowerCase javaUpperCase javaTitleCase javaAlphabetic javaIdeographic javaDigit "
            + "javaDefined javaLetter javaLetterOrDigit javaJavaIdentifierStart javaJavaIdentifierPart javaIdentifierIgnorable javaSpaceChar javaWhitespace "
            + "javaISOControl IsAlphabetic IsAssigned IsControl IsHex_Digit IsIdeographic IsJoin_Control IsLetter IsLowercase IsUppercase IsTitlecase "
            + "IsNoncharacter_Code_Point IsPunctuation IsWhite_Space IsWord IsAlpha IsLower IsUpper IsSpace IsPunct IsXDigit IsAlnum IsCntrl IsDigit IsBlank IsGraph IsPrint";
        for (String name : names.split(" ")) for (String flags : new String[] {"", "(?i)", "(?U)"}) patterns.add(flags + "\\p{" + name + "}");
        for (Character.UnicodeScript script : Character.UnicodeScript.values())
            if (script != Character.UnicodeScript.UNKNOWN) patterns.add("\\p{Is" + script.name() + "}");
        for (String escape : "\\d \\s \\w \\h \\v \\D \\S \\W \\H \\V . [^a]".split(" ")) for (String flags : new String[] {"", "(?U)", "(?iu)"}) patterns.add(flags + escape);
        for (int c : new int[] {'k', 's', 'i', 0xb5, 0xdf, 0xe5, 0xff, 0x131, 0x130, 0x1c5, 0x264, 0x19b, 0x345, 0x3c9, 0x1e9e, 0x1f80, 0x1f88, 0x1fb3, 0x2126, 0x10400, 0x13a0, 0xab70, 0x1c80, 0x10d0, 0x1c90})
            for (String form : new String[] {"(?iu)%s", "(?iu)[%s]", "(?iu)(?=%s)."}) patterns.add(String.format(form, Character.toString(c)));
        for (String range : "[a-z] [\u0080-\u00ff] [\u0100-\u0200] [\u0370-\u03ff] [\u1e00-\u1fff] [\u10a0-\u10ff] [\u1c80-\u1cbf] [\ua640-\ua7ff] [\ud801\udc00-\ud801\udc4f]".split(" "))
            for (String flags : new String[] {"(?i)", "(?iu)"}) patterns.add(flags + range);
        for (String pattern : patterns) out.println(encode(pattern) + "\t" + hash(Pattern.compile(pattern)));
    }

    static String hash(Pattern pattern) {
        Matcher matcher = pattern.matcher("");
        long hash = 0xcbf29ce484222325L;
        for (int c = 0; c <= 0x10ffff; c++) {
            if (c >= 0xd800 && c <= 0xdfff) continue;
            hash ^= matcher.reset(Character.toString(c)).matches() ? 1 : 0;
            hash *= 0x100000001b3L;
        }
        return Long.toHexString(hash);
    }
}
