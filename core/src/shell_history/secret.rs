//! Whether a line may hold a secret. Better one too many than one too few: a line that stays behind costs nothing.

use crate::environment;

/// What makes a whole line stay, anywhere in it and however it is capitalised.
const WORDS: &[&str] = &[
    "AUTHORIZATION",
    "BEARER",
    "CREDENTIAL",
    "HOOKS.SLACK.COM",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PRIVATE KEY",
    "SECRET",
    "SSHPASS",
    "WEBHOOK",
];

/// Ends of names, beside those of variables, that say that the value is a secret: `dbPass`, `cardPin`.
const NAME_ENDINGS: &[&str] = &["AUTH", "COOKIE", "PASS", "PIN", "PW", "PWD"];

/// Programs that take a password behind a short option or a word, alone or glued to it, with those.
const OPTIONS: &[(&[&str], &[&str])] = &[
    (&["7z", "7za", "7zr", "influx", "clickhouse-client"], &["-p"]),
    (&["mysql", "mysqladmin", "mysqldump", "mysqlimport", "mysqlsh", "mycli"], &["-p"]),
    (&["mariadb", "mariadb-admin", "mariadb-dump", "mongo", "mongosh"], &["-p"]),
    (&["mongodump", "mongoexport", "mongoimport", "mongorestore"], &["-p"]),
    (&["unzip", "zip", "zipcloak", "sqlcmd", "bcp", "mosquitto_pub", "mosquitto_sub"], &["-P"]),
    (&["ldapadd", "ldapdelete", "ldapmodify", "ldapsearch", "ldapwhoami"], &["-w"]),
    (&["ipmitool"], &["-P"]),
    (&["bw"], &["unlock"]),
    (&["cqlsh", "cypher-shell", "twine"], &["-p"]),
    (&["plink", "pscp", "psftp", "putty"], &["-pw"]),
    (&["rar", "unrar"], &["-hp", "-p"]),
    (&["redis-cli"], &["-a"]),
    (&["ssh-keygen"], &["-N", "-P"]),
    (&["http", "https", "xh"], &["-a"]),
    (&["openssl"], &["-k", "-K", "-pass"]),
    (&["smbclient", "rpcclient", "net"], &["-U"]),
    (&["xfreerdp", "xfreerdp3", "rdesktop", "wlfreerdp"], &["-p", "/p"]),
    (&["sqlplus"], &[""]),
    (&["sudo", "doas"], &["-S"]),
];

/// How tokens of services begin, and how many characters of a token follow at least.
const TOKENS: &[(&str, usize)] = &[
    ("AGE-SECRET-KEY-", 8),
    ("AIza", 20),
    ("AKIA", 12),
    ("ASIA", 12),
    ("ATATT", 12),
    ("ATBB", 12),
    ("EAAC", 20),
    ("SG.", 16),
    ("dckr_pat_", 8),
    ("dop_v1_", 8),
    ("eyJ", 10),
    ("figd_", 8),
    ("gho_", 8),
    ("ghp_", 8),
    ("ghr_", 8),
    ("ghs_", 8),
    ("ghu_", 8),
    ("github_pat_", 8),
    ("gldt-", 8),
    ("glpat-", 8),
    ("glptt-", 8),
    ("glrt-", 8),
    ("hf_", 12),
    ("hvs.", 8),
    ("lin_api_", 8),
    ("npm_", 20),
    ("nsec1", 12),
    ("pk_live_", 8),
    ("pypi-", 16),
    ("rk_live_", 8),
    ("rk_test_", 8),
    ("shpat_", 8),
    ("sk-", 12),
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("tskey-", 8),
    ("xapp-", 8),
    ("xoxa-", 8),
    ("xoxb-", 8),
    ("xoxe-", 8),
    ("xoxp-", 8),
    ("xoxr-", 8),
    ("xoxs-", 8),
    ("ya29.", 8),
];

/// So many letters, small and large, and digits in one word were hardly typed by a person.
const MIXED_MIN: usize = 24;

/// What has slashes is a path as likely as a key. A key has a new beginning, a capital behind a small letter or a digit
/// beside a letter, for every so many characters at least: so have all but 1 of 2,000 keys of 40 characters of base64,
/// and even `MyShopControllerTest` has fewer.
const CHARS_PER_BEGINNING: usize = 6;

/// So many hexadecimal digits are a key as likely as anything else.
const HEX_MIN: usize = 32;

/// The digits of a commit's name, which git is told all the time.
const COMMIT_DIGITS: usize = 40;

/// Whether a line may hold a secret.
pub(super) fn may_hold_one(line: &str) -> bool {
    // What is quoted counts as if it were not.
    let line: String = line.chars().filter(|c| !matches!(c, '"' | '\'' | '\\' | '`')).collect();
    let upper = line.to_uppercase();
    WORDS.iter().any(|word| upper.contains(word))
        || has_address_with_name(&line)
        || has_token(&line)
        || line.split([';', '|', '&', '\n']).any(is_telling)
}

/// Whether a simple command names a secret, or has an option that takes one.
fn is_telling(command: &str) -> bool {
    let whole: Vec<&str> = command.split_whitespace().collect();
    if (0..whole.len()).any(|index| is_user_with_password(whole[index], &whole[index + 1..])) {
        return true;
    }
    let is_edge = |c: char| c.is_whitespace() || "(){}[]<>,$".contains(c);
    let words: Vec<&str> = command.split(is_edge).filter(|word| !word.is_empty()).collect();
    let is_git = words.first().is_some_and(|word| base(word) == "git");
    let is_said = is_git && words.get(1) == Some(&"commit");
    words.iter().enumerate().any(|(index, word)| {
        let (before, rest) = (&words[..index], &words[index + 1..]);
        let is_setting = is_plain(word) || before.contains(&"config");
        let is_named = is_secret_name(word) && is_setting && !rest.is_empty() && !is_said;
        is_named
            || names_one(word)
            || (word.eq_ignore_ascii_case("login") && !rest.is_empty())
            || (word.starts_with('-') && is_secret_name(word))
            || takes_one(word, rest)
            || is_user_with_password(word, rest)
            || (!word.contains("://") && environment::has_password(word))
            || is_random(word, is_git)
            || is_random_with_slashes(word)
    })
}

/// `NAME=value`, `--name=value`, `name: value`, `?name=value&…`, where the name says that the value is a secret.
fn names_one(word: &str) -> bool {
    word.match_indices(['=', ':']).any(|(at, _)| {
        let is_edge = |c: char| !(c.is_alphanumeric() || "_-.".contains(c));
        let before = word[..at].trim_end_matches(['+', ':']);
        let name = before.rsplit(is_edge).next().unwrap_or_default();
        is_secret_name(name)
    })
}

/// Whether what is called so is a secret, as far as the name tells.
fn is_secret_name(name: &str) -> bool {
    let upper = name.to_uppercase().replace(['-', '.'], "_");
    environment::is_secret(&upper)
        || upper.split('_').any(|part| NAME_ENDINGS.iter().any(|ending| part.ends_with(ending)))
}

/// Whether a word may be the name of something: no path, no address.
fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Whether a program takes a password behind such an option, and that is there.
fn takes_one(program: &str, rest: &[&str]) -> bool {
    let of_it = OPTIONS.iter().filter(|(programs, _)| programs.contains(&base(program)));
    let mut options = of_it.flat_map(|(_, options)| options.iter());
    options.any(|option| rest.iter().any(|word| word.starts_with(option)))
}

/// `-u name:password`, as curl and many others take it, or `-u name,password`.
fn is_user_with_password(word: &str, rest: &[&str]) -> bool {
    let glued = word.strip_prefix("-u").or_else(|| word.strip_prefix("-U"));
    let named = matches!(word, "--user" | "--proxy-user" | "-u" | "-U");
    let next = rest.first().filter(|_| named).copied();
    let is_pair = |text: &str| text.contains([':', '%', ',']);
    glued.is_some_and(is_pair)
        || next.is_some_and(is_pair)
        || (word.starts_with("--user=") && word.contains(':'))
}

/// Whether an address holds a password, or is asked by a name: that may be a token.
fn has_address_with_name(line: &str) -> bool {
    line.match_indices("://").any(|(at, mark)| {
        let (scheme, rest) = (line[..at].to_lowercase(), &line[at + mark.len()..]);
        let is_web = scheme.ends_with("http") || scheme.ends_with("https");
        let mut authority = rest.split(['/', '?', '#', ' ']);
        environment::has_password(rest)
            || (is_web && authority.next().is_some_and(|authority| authority.contains('@')))
    })
}

/// Whether a token of a service stands in a line.
fn has_token(line: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    TOKENS.iter().any(|(prefix, least)| {
        line.match_indices(prefix).any(|(at, _)| {
            let is_begin = !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let rest = &line[at + prefix.len()..];
            is_begin && rest.chars().take_while(|c| is_part(*c)).count() >= *least
        })
    })
}

/// Whether a word looks as if it was drawn by chance.
fn is_random(word: &str, is_git: bool) -> bool {
    let is_edge = |c: char| !(c.is_ascii_alphanumeric() || "+_=-".contains(c));
    word.split(is_edge).any(|run| {
        let is_hex = run.chars().all(|c| c.is_ascii_hexdigit());
        let is_commit = is_git && run.len() == COMMIT_DIGITS;
        (is_mixed(run) && run.len() >= MIXED_MIN) || (is_hex && run.len() >= HEX_MIN && !is_commit)
    })
}

/// Whether there are small letters, capital ones and digits.
fn is_mixed(run: &str) -> bool {
    let has = |is_it: fn(&u8) -> bool| run.as_bytes().iter().any(is_it);
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

/// The same of one with slashes, as they stand in base64.
fn is_random_with_slashes(word: &str) -> bool {
    let is_edge = |c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c));
    let is_long = |run: &&str| run.len() >= MIXED_MIN && run.contains('/') && is_mixed(run);
    word.split(is_edge).filter(is_long).any(|run| {
        let begins = |pair: &&[u8]| match pair {
            [a, b] if a.is_ascii_lowercase() => b.is_ascii_uppercase() || b.is_ascii_digit(),
            [a, b] if a.is_ascii_uppercase() => b.is_ascii_digit(),
            [a, b] if a.is_ascii_digit() => b.is_ascii_alphabetic(),
            _ => false,
        };
        run.as_bytes().windows(2).filter(begins).count() * CHARS_PER_BEGINNING >= run.len()
    })
}

/// The name of a program without its folder.
fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_may_hold_a_secret_stays() {
        for line in [
            "export GITHUB_TOKEN=abc",
            "GITHUB_TOKEN=abc make",
            "AWS_SECRET_ACCESS_KEY=x aws s3 ls",
            "set -x API_KEY abc",
            "export apiKey='x'",
            "dbPass=hunter2 ./run",
            "mysql -uroot -phunter2 shop",
            "mysql -u root -p hunter2 shop",
            "docker exec -it db /usr/bin/mysqldump -proot shop",
            "docker login -u me -p hunter2 host",
            "mongosh --host x -p hunter2",
            "redis-cli -h x -a hunter2",
            "unzip -P hunter2 a.zip",
            "ldapsearch -x -w hunter2",
            "sqlplus scott/tiger@db",
            "openssl enc -aes-256-cbc -k hunter2",
            "smbclient //x/y -U me%hunter2",
            "tool --password hunter2",
            "tool --password=hunter2",
            "tool --pass\"word\"=hunter2",
            "tool --db-pass hunter2",
            "tool --access-token abc",
            "tool --api-key abc",
            "sshpass -p hunter2 ssh x",
            "echo hunter2 | sudo -S ls",
            "echo hunter2 | docker login --password-stdin",
            "cargo login abc",
            "npm config set //registry/:_authToken abc",
            "git config user.token abc",
            "curl -H 'Authorization: Basic abc' x",
            "curl -H \"X-Api-Key: abc\" x",
            "curl -H 'Cookie: a=b' x",
            "curl -u me:hunter2 https://x",
            "curl -ume:hunter2 https://x",
            "curl --user me:hunter2 https://x",
            "curl 'https://x/?a=b&access_token=abc'",
            "curl -d '{\"password\":\"hunter2\"}' x",
            "curl -d '{ \"pin\": 1234 }' x",
            "git clone https://me:hunter2@host/x",
            "git clone https://abc@host/x",
            "psql postgres://me:hunter2@db/shop",
            "echo -----BEGIN OPENSSH PRIVATE KEY-----",
            "echo ghp_0123456789abcdef",
            "echo sk-ant-api03-0123456789",
            "echo AKIA0123456789ABCDEF",
            "echo xoxb-0123456789",
            "echo glpat-0123456789",
            "echo eyJhbGciOiJIUzI1NiJ9.e30.x",
            "curl https://hooks.slack.com/services/T/B/x",
            "echo dGhpcyBpcyBhIHNlY3JldCBrZXk5",
            "echo 0123456789abcdef0123456789abcdef",
            "true; FOO_TOKEN=x true",
            "true &&export MY_SECRET=x",
        ] {
            assert!(may_hold_one(line), "{line}");
        }
    }

    #[test]
    fn a_password_with_signs_in_it_and_one_behind_an_option_of_few_programs_stay() {
        for line in [
            "psql 'postgres://me:pa#ss@db/shop'",
            "psql 'postgres://me:pa/ss@db/shop'",
            "psql 'postgres://me:pa?ss@db/shop'",
            "psql \"postgres://me:pa;s&s@db/shop\"",
            "curl https://me:pa/ss@host",
            "curl -x me:hunter2@proxy:8080 example.org",
            "DB_PW=hunter2 ./run",
            "export PW=hunter2",
            "dbPw=hunter2 ./run",
            "lftp -u me,hunter2 host",
            "lftp -ume,hunter2 host",
            "ssh-keygen -f key -N hunter2",
            "rar a -hphunter2 a.rar b",
            "unrar x -phunter2 a.rar",
            "cqlsh -u me -p hunter2 host",
            "cypher-shell -u me -p hunter2",
            "twine upload -u me -p hunter2 dist/a.whl",
            "plink -pw hunter2 me@host",
            "pscp -pw hunter2 a me@host:",
            "bw unlock hunter2",
            "echo wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws configure set x wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "mc alias set s3 https://host me Zk3/vQ9tR+x7Lm2/Bn8Wc5Yd1/Fg6Hj4Ks0Pz",
        ] {
            assert!(may_hold_one(line), "{line}");
        }
    }

    #[test]
    fn what_people_type_all_day_travels() {
        for line in [
            "ls -la",
            "make test",
            "git push -u origin main:prod",
            "git show 0123456789abcdef0123456789abcdef01234567",
            "git clone git@github.com:me/shop.git",
            "git clone ssh://git@host/me/shop.git",
            "git checkout feature/auth",
            "cargo test token",
            "cargo nextest run -p shop -E 'test(a::b)'",
            "vim src/token.rs",
            "docker run -p 8080:80 -v /a:/b img:1.2",
            "git commit -m 'the key moves on'",
            "curl https://example.org/a?b=c",
            "RUST_LOG=debug ./run --port=80",
            "claude --resume 4d5611e5-241a-462a-8d15-5122611a9569",
            "cd session && npm i",
            "rsync -a a/ b/ && tar -xzf x.tgz",
            "convosyncctl save -m 'before the rewrite — 日本'",
            "mysql shop",
            "cd ~/Projects/Shop2/src/main/java/org/Example/ShopControllerTest",
            "cat /home/Ada/Documents/2026/11/Invoice7/Notes.md",
            "ls /Applications/Xcode15.app/Contents/Developer/Platforms/iPhoneOS.platform",
            "vim web/node_modules/@types/React18/Components/ButtonGroup.tsx",
            "less /var/log/App2/2026/11/22/Worker3/run.log",
            "cat ~/Sync/4d5611e5-241a-462a-8d15-5122611a9569/Notes",
            "git switch -c Ada/SHOP-123/MoveTheCartToV2",
            "curl https://example.org:8080/a/b?c=d#e",
            "curl http://[::1]:80/a",
            "open https://example.org/@ada/Shop2",
            "npm install @types/node@18",
            "scp a.txt ada@host:/tmp",
            "ssh-keygen -t ed25519",
            "ps -u ada",
            "task-0123456789abcdef --risk",
            "",
        ] {
            assert!(!may_hold_one(line), "{line}");
        }
    }
}
