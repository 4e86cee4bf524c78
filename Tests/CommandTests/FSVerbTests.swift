import Glibc
import Support
import SystemPackage
import Testing

@Suite("blkdev-run fs", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FSVerbTests {
  @Test("makes, looks at, moves and removes names, and leaves what e2fsck and debugfs agree with")
  func names() throws {
    let image = try FSImage()
    let outcome = try image.script(
      """
      mkdir -p -m 750 /a/b/c      # three at once
      mknod /a/fifo p
      mknod -m 600 /a/disk b 7 300
      mknod /a/tty c 4 64
      mknod /a/socket s
      ln -s ../target /a/link
      ln -s '\(String(repeating: "x", count: 100))' /a/long
      touch /a/file
      ln /a/file /a/hard
      cp /a/file /a/copy
      mv /a/copy /a/b
      mv -n /a/b/copy /a/b/moved
      rmdir /a/b/c
      rm /a/hard
      ln -sf elsewhere /a/link
      """)
    #expect(outcome.exitCode == 0 && outcome.errors == "")
    #expect(
      try image.fs("ls -R /").split(separator: "\n") == [
        "/:", "a", "lost+found", "/a:", "b", "disk", "fifo", "file", "link", "long", "socket", "tty", "/a/b:", "moved",
        "/lost+found:",
      ])
    let lines = try image.fs("ls -ln /a").split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(lines.first { $0.last == "disk" }?.prefix(6) == ["brw-------", "1", "0", "0", "7,", "300"])
    #expect(lines.first { $0.last == "fifo" }?[0] == "prw-r--r--")
    #expect(lines.first { $0.last == "socket" }?[0] == "srw-r--r--")
    #expect(lines.first { $0.last == "elsewhere" }?.suffix(3) == ["link", "->", "elsewhere"])
    #expect(lines.first { $0.last == "file" }?[1] == "1")
    #expect(try image.debugfs("stat /a/disk").contains("Device major/minor number: 07:300"))
    #expect(try image.debugfs("stat /a/link").contains(#"Fast link dest: "elsewhere""#))
    #expect(try image.damage() == nil)
    #expect(try image.fs("rm -r /a") == "")
    #expect(try image.fs("ls /") == "lost+found\n")
    #expect(try image.damage() == nil)
  }

  @Test("lists names in the order that is asked for, and marks ACLs, as ls does")
  func orders() throws {
    let image = try FSImage()
    try image.shell(
      """
      mkdir t t/d; cd t; head -c 3 /dev/zero >b; head -c 20 /dev/zero >a; : >c; : >e; ln -s c link; cd ..
      touch -d @1700000000 t/d; touch -d @1700000000.5 t/b; touch -d @1500000000 t/a; touch -d @1600000000 t/c t/e
      touch -hd @1400000000 t/link; touch -d @1500000000 t
      fs import t /
      for options in -t -S -r -tr -Sr -St -tS; do
        diff <(cd t; ls $options a b c e link) <(fs ls $options /a /b /c /e /link | tr -d /) || { echo "$options"; exit 1; }
        diff <(ls $options t | grep -v d) <(fs ls $options / | grep -v d) || { echo "$options"; exit 1; }
      done
      fs setfacl -m u:5:rwx /a; fs setfacl -m d:u:5:rwx /d
      fs ls -l /a /b /d | cut -d ' ' -f 1 | tr '\\n' ' ' | grep -F -- '-rw-rwxr--+ -rw-r--r-- '
      fs ls -ld /d | grep '^drwxr-xr-x+ 2 '
      fs ls -l /a /b | cut -c 1-13 | tr '\\n' '.' | grep -F -- '-rw-rwxr--+ 1.-rw-r--r--  1.'
      """)
  }

  @Test("removes nothing behind a symbolic link, whatever slashes follow its name")
  func removesNoLinkedTree() throws {
    let image = try FSImage()
    try image.shell("fs mkdir -p /d/e; fs touch /d/f /f; fs ln -s d /l; fs ln -s f /m")
    for words in ["rm -r /l/", "rm /l/", "rm -rf /l//", "rm -r /m/", "rm /f/", "rmdir /l"] {
      let outcome = try image.run("\"$image\" \(words)")
      #expect(outcome.exitCode == 1 && outcome.errors.hasSuffix(": not a directory\n"), "\(words): \(outcome.errors)")
      #expect(try image.fs("ls -R /d") == "/d:\ne\nf\n\n/d/e:\n")
    }
    #expect(try image.fs("rm -r /d// /l /m") == "")
    #expect(try image.fs("ls /") == "f\nlost+found\n")
    #expect(try image.damage() == nil)
  }

  @Test("copies files in and out, holes kept, and debugfs reads the same bytes", arguments: [1024, 4096])
  func contents(blockSize: Int) throws {
    let image = try FSImage(blockSize: blockSize)
    let output = try image.shell(
      """
      head -c 100001 /dev/urandom >a
      truncate -s 3M holes; printf x | dd of=holes bs=1 seek=2000000 conv=notrunc status=none
      : >empty
      chmod 640 a
      fs put a; fs put holes /h; fs put empty /e; fs mkdir /d; fs put a /d; head -c 5000 a | fs put - /stdin
      fs get /a b; cmp a b; fs get /h holes2; cmp holes holes2; fs get /e e; cmp empty e; mkdir t; fs get /d/a t
      cmp a t/a; fs cat /a /e /a >twice; cat a a | cmp - twice; fs get /stdin - | cmp - <(head -c 5000 a)
      debugfs -R 'dump /a c' "$image" 2>/dev/null; cmp a c
      [ $(stat -c %b holes2) -lt 600 ]
      fs ln -s h2 /l; fs cp /h /l; fs put empty /l; fs ls -l /l | grep -q -- '-> h2'; fs cp /h /h2; fs get /h2 holes3; cmp holes holes3
      fs fill -o 5000 -l 3000 -s 7 /f; fs fill -o 5000 -l 1000 -s 7 /f; fs fill -o 6000 -l 2000 -s 7 /f
      fs fill -l 8000 -s 7 /g; fs get /f f; fs get /g g; cmp <(tail -c 3000 f) <(tail -c 3000 g)
      cmp -n 5000 f /dev/zero
      """)
    #expect(output == "")
    #expect(try image.fs("stat /a").contains("(0640/-rw-r-----)"))
    let blocks = try image.fs("--output-format=json stat /h /h2").split(separator: "\n").filter {
      $0.contains("blocks_512")
    }
    #expect(blocks.count == 2 && blocks[0] == blocks[1])
    #expect(try image.damage() == nil)
  }

  @Test("changes sizes and ranges as truncate(1) and fallocate(1) do")
  func ranges() throws {
    let image = try FSImage()
    let outcome = try image.script(
      """
      truncate -s 10K /f
      truncate -s +1 /f
      truncate -s -241 /f
      truncate -c -s 5 /none
      fill -l 64K -s 1 /g
      fallocate -p -o 8K -l 16K /g
      fallocate -l 100K /h
      fallocate -z -o 0 -l 4K /g
      fallocate -n -o 1K -l 2K /f
      fsync /g
      remount
      dump extents /g
      """)
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let json = try image.fs("--output-format=json stat /f /g /h")
    func values(_ key: String) -> [String] {
      json.split(separator: "\n").filter { $0.contains("\"\(key)\"") }.map {
        String($0.split(separator: " ")[2].dropLast())
      }
    }
    #expect(values("size") == ["10000", "65536", "102400"])
    #expect(try image.fs("ls /").contains("none") == false)
    #expect(try image.damage() == nil)
    #expect(try image.run("'\(image.path)' fallocate -c -o 0 -l 1K /g").errors.contains("operation not supported"))
    #expect(try image.run("'\(image.path)' fallocate -n -o 1M -l 1K /g").exitCode == 1)
  }

  @Test("changes permissions, owners, flags and times, to the nanosecond")
  func status() throws {
    let image = try FSImage()
    let outcome = try image.script(
      """
      touch /f
      chmod u=rwx,g+s,o=g,+x /f
      chown 100000:70000 /f
      chmod a+X,g+s /f
      ln -s f /l
      chown -h 7 /l
      touch -d 2040-05-06T07:08:09.123456789+02:00 /f
      touch -a -d @-5.25 /f
      chattr +dA /f
      chattr =d /f
      mkdir -p /d/e
      touch /d/e/g
      chmod -R 700 /d
      chgrp -R 5 /d
      """)
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let text = try image.fs("stat /f")
    #expect(text.contains("(2755/-rwxr-sr-x)") && text.contains("Uid: (100000)   Gid: (70000)"), "\(text)")
    #expect(text.contains("Modify: 2040-05-06 05:08:09.123456789 +0000"))
    #expect(text.contains("Access: 1969-12-31 23:59:54.750000000 +0000"))
    #expect(try image.fs("lsattr -d /f") == "------d--------------- /f\n")
    #expect(try image.fs("stat /l").contains("Uid: (    7)"))
    #expect(try image.fs("stat -L /l").contains("Uid: (100000)"))
    #expect(try image.fs("stat /d/e/g").contains("(0700/-rwx------)  Uid: (    0)   Gid: (    5)"))
    #expect(try image.debugfs("stat /f").contains("mtime: 0x8450e3b9:1d6f3455"))
    #expect(try image.damage() == nil)
  }

  @Test("prints names that can be read back, and JSON with the bytes of names that are no text")
  func quoting() throws {
    let image = try FSImage()
    let names = [#"'a b'"#, #"$'new\nline'"#, #"$'\377'"#, "'it'\\''s'", "'#'", "ä"]
    #expect(try image.script(names.map { "touch /\($0)" }.joined(separator: "\n")).exitCode == 0)
    let listed = try image.fs("ls -U /").split(separator: "\n").filter { $0 != "lost+found" }
    #expect(Set(listed) == ["'a b'", #"$'new\nline'"#, #"$'\377'"#, #"'it'\''s'"#, "'#'", "'ä'"])
    #expect(try image.script(listed.map { "rm /\($0)" }.joined(separator: "\n")).exitCode == 0)
    #expect(try image.fs("ls /") == "lost+found\n")
    // The shell hands bytes over that are no UTF-8.
    #expect(try image.fs("mkdir $'/\\xfe'") == "")
    let json = try image.fs("--output-format=json ls /")
    #expect(try image.fs("ls --output-format json /") == json)
    #expect(json.contains(#""name_hex" : "fe""#) && json.contains(#""name" : "lost+found""#))
    #expect(try image.fs("ls -N /").contains("\u{FFFD}"))
  }

  @Test("prints JSON that a parser of another's reads")
  func json() throws {
    let image = try FSImage()
    try image.shell(
      #"""
      fs mkdir $'/q"\\\n\377\t\001'; fs fill -l 9K -s 1 /f; fs ln -s $'\376' /l; fs mknod /c c 1 2; fs touch /e
      command -v python3 >/dev/null || exit 0
      for words in 'ls -laR /' 'stat /f /l /c /e' 'lsattr /' df 'dump superblock' 'dump groups' 'dump inode 2' \
        'dump block 1' 'dump extents /f' 'dump free'; do
        fs ${words%% *} --output-format=json $([ "$words" = "${words#* }" ] || echo ${words#* }) >json
        python3 -m json.tool json >/dev/null || { echo "$words"; cat json; exit 1; }
      done
      """#)
  }

  @Test(
    "says what is wrong with a command line and what would be right, ends with 2, and leaves the image alone",
    arguments: [
      ("", "an image is missing"), ("$image", "a verb is missing"), ("$image lss", "did you mean ls?"),
      ("$image ls -Z", "unknown option -Z"), ("$image ls --output-format=xml", "normal, json"),
      ("$image ls --full-tine", "did you mean --full-time?"),
      ("$image mkdir", "an operand is missing"), ("$image df x", "one operand too many: 'x'"),
      ("--outputformat=json $image df", "did you mean --output-format?"),
      ("--output-format=xml $image df", "normal, json"),
      ("-o noatme $image ls", "did you mean noatime?"), ("-o sb $image ls", "needs a value"),
      ("-o errors=maybe $image ls", "continue, remount-ro, abort"), ("-o ro=1 $image ls", "takes no value"),
      ("-o resuid=x $image ls", "a number is wanted"), ("--user root $image ls", "USER:GROUP"),
      ("$image chmod 999 /", "a mode is wanted"), ("$image chown root /", "numbers are wanted"),
      ("$image chattr +q /", "flags are wanted"), ("$image touch -d yesterday /", "a time is wanted"),
      ("$image truncate /f", "a size (-s) is needed"), ("$image truncate -s 5Q /f", "a number of bytes"),
      ("$image fallocate -l 0 /f", "not a range"), ("$image mknod /x q", "a type is wanted"),
      ("$image mknod /x b 1", "a major and a minor"), ("$image mknod /x p 1 2", "only devices"),
      ("$image uuid 12", "a UUID is wanted"), ("$image label 12345678901234567", "16 bytes at most"),
      ("$image ls --recursive=1", "takes no value"), ("$image touch -d", "-d needs a value"),
      ("$image dump nothing", "superblock"), ("$image dump inode x", "a number"), ("help nothing", "no verb is named"),
    ])
  func usage(words: String, message: String) throws {
    let image = try FSImage()
    let before = try TemporaryFile.read(image.path)
    let outcome = try image.run(words)
    #expect(outcome.exitCode == 2 && outcome.output == "")
    #expect(outcome.errors.contains(message), "\(outcome.errors)")
    #expect(try TemporaryFile.read(image.path) == before)
  }

  @Test(
    "says the errno's words with the path, ends with 1, and changes nothing",
    arguments: [
      ("cat /none", "/none: no such file or directory"), ("cat /d", "/d: is a directory"),
      ("ls /none", "/none: no such file or directory"), ("rmdir /d", "/d: directory not empty"),
      ("rm /d", "/d: is a directory"), ("mkdir /d", "/d: file exists"), ("ls /f/x", "/f/x: not a directory"),
      ("mkdir /none/x", "/none/x: no such file or directory"), ("ln /d /e", "/e: operation not permitted"),
      ("mv /d /d/x/y", "no such file or directory"), ("mv /d /d/d", "a directory cannot move into itself"),
      ("ln -s x /f", "/f: file exists"), ("cp -r /d /d/e", "into itself"), ("cp /f /f", "same file"),
      ("cp /d /e", "/d: is a directory"), ("rm -r /", "cannot be removed"), ("rm /d/.", "cannot be removed"),
      ("mv -n /f /g", "file exists"), ("cat /loop", "too many levels of symbolic links"),
      ("get /none x", "/none: no such file or directory"), ("put none /x", "none: open: No such file or directory"),
      ("get /f none/x", "none/x: open: No such file or directory"), ("put /dev /x", "is a directory"),
      ("put $image /x", "is the image itself"), ("get /f $image", "is the image itself"),
      ("import none /x", "none: open: No such file or directory"), ("export /f x", "/f: not a directory"),
      ("export /none x", "/none: no such file or directory"),
      ("touch /\(String(repeating: "n", count: 256))", "too long"),
      ("cp /f /g /f", "/f: not a directory"), ("truncate -s 99T /f", "/f: file too large"),
      ("export /f -", "/f: not a directory"),
    ])
  func failures(words: String, message: String) throws {
    let image = try FSImage()
    #expect(
      try image.script("mkdir /d\ntouch /d/d\nfill -l 9 -s 1 /f\ntouch /g\nln -s loop /loop\n").exitCode == 0)
    let before = try image.fs("ls -laR --full-time /")
    let outcome = try image.run("\"$image\" \(words)")
    #expect(outcome.exitCode == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains(message) && outcome.errors.hasPrefix("blkdev-run: "), "\(outcome.errors)")
    #expect(try image.fs("ls -laR --full-time /") == before)
    #expect(try image.damage() == nil)
    #expect(try image.shell("ls").split(separator: "\n") == ["errors", "image", "input", "output"])
  }

  @Test("says why an image cannot be used, and ends with 1")
  func images() throws {
    let image = try FSImage()
    #expect(try image.run("none ls").errors.contains("none: statx: No such file or directory"))
    #expect(try image.run("none ls").exitCode == 1)
    #expect(try image.run(". ls").exitCode == 1)
    try image.shell("head -c 100000 /dev/zero >zeroes; : >nothing")
    #expect(try image.run("zeroes ls").errors.contains("zeroes: "))
    #expect(try image.run("zeroes ls").exitCode == 1)
    #expect(try image.run("nothing ls").exitCode == 1)
  }

  @Test("stops a script at the first error and names the line; with --keep-going it goes on, and the exit code stays")
  func scripts() throws {
    let image = try FSImage()
    let lines = "mkdir /a\n\n# comment\nmkdir /a\nmkdir /b\nunheard of\nmkdir /c"
    let stopped = try image.script(lines)
    #expect(stopped.exitCode == 1 && stopped.errors == "blkdev-run: line 4: mkdir: /a: file exists\n")
    #expect(try image.fs("ls /") == "a\nlost+found\n")
    let outcome = try image.script(lines, options: "--keep-going")
    #expect(outcome.exitCode == 2)
    #expect(outcome.errors.contains("line 4: mkdir: /a: file exists") && outcome.errors.contains("line 6: unheard: "))
    #expect(try image.fs("ls /") == "a\nb\nc\nlost+found\n")
    let open = try image.script("ls '/a")
    #expect(open.exitCode == 2 && open.errors.contains("line 1: a quotation mark ' is not closed"))
    #expect(try image.script("").exitCode == 0)
    #expect(try image.script("put - /x").errors.contains("standard input is the script already"))
    #expect(try image.damage() == nil)
  }

  @Test("never writes an image that it only looks at, and needs no permission to write it")
  func looking() throws {
    let image = try FSImage()
    #expect(try image.script("mkdir /d\nfill -l 5000 -s 1 /d/f\nln -s f /d/l").exitCode == 0)
    try image.shell("debugfs -w -R 'ssv state 0' \"$image\" 2>/dev/null; chmod 444 \"$image\"; cp -p \"$image\" before")
    let outcome = try image.script(
      """
      ls -laR /
      stat /d/l
      cat /d/f
      get /d/f out
      df
      lsattr /d
      dump superblock
      dump groups
      dump free
      dump extents /d/f
      label
      uuid
      export / tree
      export / -
      sync
      fsync /d/f
      """)
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    #expect(outcome.errors.contains("was not unmounted cleanly"))
    try image.shell("cmp \"$image\" before")
    let refused = try image.run("-o ro \"$image\" mkdir /x")
    #expect(refused.exitCode == 1 && refused.errors.contains("/x: read-only file system"))
    try image.shell("cmp \"$image\" before")
  }

  @Test("makes files whole or not at all when the volume is full")
  func full() throws {
    let image = try FSImage(byteCount: 1 << 20, options: ["-m", "0"])
    try image.shell(
      "head -c 600000 /dev/urandom >a; fs put a /a; mkdir t; cp a t/b; cp a t/c; echo old >old; fs put old /old")
    for words in ["put a /b", "cp /a /b", "put a /old", "import t /"] {
      let outcome = try image.run("\"$image\" \(words)")
      #expect(outcome.exitCode == 1 && outcome.errors.contains("no space left on device"), "\(outcome.errors)")
      #expect(try image.fs("ls /") == "a\nlost+found\nold\n")
      #expect(try image.fs("cat /old") == "old\n")
      #expect(try image.damage() == nil)
    }
    for words in ["fallocate -l 1100K /n", "fill -l 1100K -s 1 /n", "truncate -s 17G /n"] {
      #expect(try image.run("\"$image\" \(words)").exitCode == 1)
      #expect(try image.fs("ls /") == "a\nlost+found\nold\n", "\(words)")
    }
    #expect(try image.run("\"$image\" fallocate -l 1100K /a").exitCode == 1)
    #expect(try image.fs("ls /") == "a\nlost+found\nold\n")
    try image.shell("fs ln -s to /link; ! fs truncate -s 17G /link 2>/dev/null")
    #expect(try image.fs("ls /") == "a\nlink\nlost+found\nold\n")
    #expect(try image.damage() == nil)
  }

  @Test("ends a put from a pipe that says nothing more, and puts nothing there")
  func silentInput() throws {
    let image = try FSImage()
    let command = try Command()
    try command.start(
      ["fs", image.path, "put", "-", "/f"], errors: .terminal(columns: 60), input: .silentPipe([1, 2, 3]))
    try command.wait(for: "put: ")
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    #expect(try image.fs("ls /") == "lost+found\n")
    #expect(try image.damage() == nil)
  }

  @Test("reads standard input where it is a socket, and a file from its beginning")
  func socketInput() throws {
    let image = try FSImage()
    try image.shell(
      """
      printf contents >f; fs put - /f <f; fs cat /f | cmp f -
      command -v python3 >/dev/null || exit 0
      python3 - "\(FSImage.program)" "$image" <<'END'
      import socket, subprocess, sys
      near, far = socket.socketpair()
      far.sendall(b"contents"); far.close()
      sys.exit(subprocess.run([sys.argv[1], "fs", sys.argv[2], "put", "-", "/s"], stdin=near).returncode)
      END
      fs cat /s | cmp f -
      """)
  }

  @Test("makes files on behalf of a user, who may not take the reserved blocks")
  func users() throws {
    let image = try FSImage(byteCount: 2 << 20, options: ["-m", "40"])
    try image.shell("head -c 1500000 /dev/urandom >a")
    #expect(try image.run("--user 1000:50 \"$image\" mkdir /d").exitCode == 0)
    #expect(try image.fs("stat /d").contains("Uid: ( 1000)   Gid: (   50)"))
    #expect(try image.run("--user 1000 \"$image\" put a /d/a").errors.contains("no space left on device"))
    #expect(try image.run("\"$image\" put a /d/a").exitCode == 0)
  }

  @Test("sets label and UUID, trims, and shows space as df does")
  func volume() throws {
    let image = try FSImage()
    #expect(try image.fs("label 'a volume'") == "")
    #expect(try image.fs("label") == "a volume\n")
    #expect(try image.fs("uuid 4d2c2a1e-0000-4000-8000-00000000abcd") == "")
    #expect(try image.fs("uuid") == "4d2c2a1e-0000-4000-8000-00000000abcd\n")
    #expect(try image.fs("trim").hasSuffix(" bytes trimmed\n"))
    #expect(try image.debugfs("show_super_stats -h").contains("4d2c2a1e-0000-4000-8000-00000000abcd"))
    #expect(try image.damage() == nil)
  }

  @Test("ends with a message when nobody reads its output any more, and leaves a clean image")
  func abandonedPipe() throws {
    let image = try FSImage()
    try image.shell(
      """
      for n in $(seq 200); do echo "fill -l 20K -s $n /file$n"; done | fs -
      status=0
      { fs cat $(seq -f /file%g 200) 2>errors || echo $? >status; } | head -c 1 >/dev/null
      [ "$(cat status)" = 1 ]; grep -q 'standard output: Broken pipe' errors
      { fs export / - 2>errors || echo $? >status; } | head -c 1 >/dev/null
      [ "$(cat status)" = 1 ]; grep -q 'standard output: Broken pipe' errors
      """)
    #expect(try image.damage() == nil)
  }

  @Test("lists its verbs")
  func help() throws {
    let image = try FSImage()
    let help = try image.run("--help").output
    for verb in ["ls", "put", "import", "export", "chmod", "dump", "setfattr", "getfacl"] {
      #expect(help.contains("\n  \(verb) "), "\(verb)")
    }
    #expect(try image.run("help ls").output.hasPrefix("ls ["))
  }
}
