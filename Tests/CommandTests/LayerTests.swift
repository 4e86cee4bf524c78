import DeviceLayers
import Support
import SystemPackage
import Testing
import Workload

@Suite("Layers on the command line", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct LayerTests {
  /// Runs a script of bash beside an image, with `b` for the program, which prints both its streams and how it ended.
  private static func run(_ script: String, on image: FSImage? = nil) throws -> String {
    let image = try image ?? FSImage(byteCount: 4 << 20)
    return try image.shell(
      "b() { s=0; '\(FSImage.program)' \"$@\" 2>&1 || s=$?; echo \"exit $s\"; }; echo hello >hello\n" + script)
  }
  private static func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

  @Test(
    "a rule that does not parse says its column and what was expected, in every verb, and is wrong usage",
    arguments: [
      "run --name=a --ioengine=mem --size=1m", "fs \"$image\" ls /", "check \"$image\"", "mkfs -F \"$image\"",
    ])
  func mistakes(words: String) throws {
    let parts = words.split(separator: " ", maxSplits: 1)
    func run(_ option: String) throws -> String {
      try Self.run("printf '# bad blocks\\n\\n  read:EIO,nth=0\\n' >rules; b \(parts[0]) \(option) \(parts[1])")
    }
    let rule = try run("--fault=write:EIOO")
    #expect(rule.contains("--fault: 'write:EIOO', column 7: expected an errno") && rule.contains("exit 2"), "\(rule)")
    let file = try run("--fault-file=rules")
    #expect(file.contains("--fault-file: rules, line 3, column 16: expected a number from 1 on"), "\(file)")
    #expect(file.contains("exit 2"))
    for (option, message) in [
      ("--fault-file=none", "--fault-file: none: No such file"), ("--latency=read=5", "column 7: expected a unit"),
      ("--fault-file=/dev/zero", "--fault-file: /dev/zero: File too large"),
      ("--latency=raed=5ms", "column 1: expected read=, write="), ("--deadline=soon", "column 1: expected a number"),
      ("--volatile-cache=1", "column 1: expected a size from 4k"),
    ] {
      let text = try run(option)
      #expect(text.contains(message) && text.contains("exit 2"), "\(text)")
    }
  }

  @Test("a log that is not whole is said, and no check ends well with it")
  func fullLog() throws {
    let text = try Self.run("b check --write-log=/dev/full \"$image\"")
    #expect(text.contains("--write-log: /dev/full: No space left") && text.contains("exit 8"), "\(text)")
  }

  @Test("says at the end which rules never fired, in every verb")
  func neverFired() throws {
    for words in [
      "run --name=a --ioengine=mem --size=64k --bs=4k", "fs \"$image\" ls /", "check \"$image\"",
      "mkfs -q -F \"$image\"",
    ] {
      let parts = words.split(separator: " ", maxSplits: 1)
      let text = try Self.run("b \(parts[0]) --fault=discard:EIO --fault=any:delay=1us \(parts[1])")
      let said = Self.lines(text).filter { $0.contains("never fired") }
      #expect(said == ["blkdev-run: --fault=discard:EIO: never fired"], "\(text)")
      #expect(text.contains("exit 0"), "\(text)")
    }
  }

  @Test("shows its layers from the top down, on stderr alone")
  func stack() throws {
    let shown = try Self.run(
      """
      b fs --stack --write-log=log --latency=10us --volatile-cache --fault=flush:lie --strict "$image" ls /
      """)
    #expect(
      shown.contains(
        """
        strict: 0 violations
        faults: flush:lie
        volatile cache of 16m
        latency: read=10us,write=10us,flush=10us
        write log to log
        FileDevice of 4194304 bytes
        """), "\(shown)")
    #expect(shown.contains("blkdev-run: flush:lie: matched=0, fired=0\n"), "\(shown)")
    let output = try Self.run("'\(FSImage.program)' check --stack --strict --volatile-cache \"$image\" 2>/dev/null")
    #expect(Self.lines(output).count == 1 && output.contains("clean"), "\(output)")
  }

  @Test("a run reports its rules as JSON, repeats them in its command, and takes them on the command line only")
  func report() throws {
    let text = try Self.run(
      "b --name=a --ioengine=sim --rw=write --size=64k --fault=write:EIO,nth=3 --fault=read:hang --seed 5 --output-format=json"
    )
    for part in [
      #""rule" : "write:EIO,nth=3""#, #""matched" : 3"#, #""fired" : 1"#, #""fired" : 0"#, #""seed" : 5"#,
      "--fault=write:EIO,nth=3 --fault=read:hang --name=a", "exit 1",
    ] { #expect(text.contains(part), "\(part) in \(text)") }
    let file = try Self.run("printf '[a]\\nfault=write:EIO\\n' >job; b job")
    #expect(file.contains("job:2: fault: stands on the command line only, as --fault") && file.contains("exit 2"))
  }

  @Test(
    "ends although a request hangs, and says so",
    arguments: [
      "run --name=a --ioengine=mem --rw=write --size=64k", "run --name=a --filename=file --rw=write --size=64k",
      "run --name=a --target=fs --rw=write --size=64k --image_size=4m", "fs \"$image\" put hello /hello",
      "check --repair \"$image\"", "mkfs -F -q \"$image\"",
    ])
  func hang(words: String) throws {
    let parts = words.split(separator: " ", maxSplits: 1)
    let rule = parts[0] == "check" ? "read:hang,nth=2" : "write:hang,nth=2"
    let text = try Self.run("b \(parts[0]) --fault=\(rule) --deadline=50ms \(parts[1])")
    #expect(text.contains("requests that hang by a rule, and were given up: 1"), "\(text)")
    #expect(!text.hasSuffix("exit 0\n"), "\(text)")
  }

  @Test("a flush that lies loses what the cache had when the command ends; a volume without it keeps all")
  func lyingFlush() throws {
    let text = try Self.run(
      """
      b fs --volatile-cache "$image" put hello /kept
      b fs --volatile-cache --fault=flush:lie "$image" put hello /lost
      b fs "$image" ls /
      """)
    #expect(text.contains("--volatile-cache: lost, since never flushed: "), "\(text)")
    #expect(text.contains("\nkept\n") && !text.contains("\nlost\n"), "\(text)")
  }

  @Test("what a rule has damaged is damaged in the image, for whoever judges it afterwards")
  func damage() throws {
    let text = try Self.run(
      """
      b fs --fault=write@data:phantom "$image" put hello /a
      b fs "$image" cat /a | tr -d '\\0' | head -1
      b fs --fault=write@itable:phantom "$image" put hello /b
      b check "$image" | tail -1
      """)
    #expect(Self.lines(text) == ["exit 0", "exit 0", "exit 0", "exit 4"], "\(text)")
  }

  @Test(
    "a run whose data is written into nothing finds that, and so does e2fsck of a bitmap that is", arguments: [1, 2])
  func runDamage(seed: Int) throws {
    let words = "--name=a --target=fs --rw=write --size=256k --image_size=4m --seed=\(seed)"
    for engine in ["libaio", "mem", "sim"] {
      let data = try Self.run("b \(words) --ioengine=\(engine) --fault=write@data:phantom,nth=1")
      #expect(data.contains("content mismatch") && data.contains("exit 3"), "\(data)")
      let bitmap = try Self.run("b \(words) --ioengine=\(engine) --fault=write@bitmap:phantom")
      #expect(bitmap.contains("e2fsck -fn: exit 4") && bitmap.contains("exit 4"), "\(bitmap)")
    }
  }

  @Test("mkfs and check go through layers that do nothing as without them, byte for byte")
  func idle() throws {
    let text = try Self.run(
      """
      export SOURCE_DATE_EPOCH=1700000000
      options="-q --size 4m --uuid 11111111-1111-1111-1111-111111111111 -E hash_seed=11111111-1111-1111-1111-111111111111"
      b mkfs $options plain
      b mkfs $options --strict --fault=write:eagain,p=0.3 --volatile-cache=64k --latency=1ms --write-log=log layered
      cmp plain layered
      truncate -s 4M again
      b replay log again
      cmp plain again
      b check --strict --fault=read:short=512,every=3 layered
      """)
    #expect(text.hasPrefix("exit 0\nexit 0\nexit 0\n") && text.contains("layered: clean") && text.hasSuffix("exit 0\n"))
  }

  @Test("mkfs that fails removes the file that it made, and refuses layers for a tree that it is to copy")
  func mkfs() throws {
    let text = try Self.run(
      """
      b mkfs -q --size 4m --fault=write:EIO,nth=3 new
      ls new 2>/dev/null || echo gone
      b mkfs -q --size 4m --strict -d . new
      """)
    #expect(text.contains("Input/output error\nexit 1\ngone"), "\(text)")
    #expect(text.contains("goes without layers") && text.contains("exit 2"), "\(text)")
  }

  @Test("the log of a run has its jobs as marks, and replays to the file that the run left")
  func runLog() throws {
    let text = try Self.run(
      """
      b --name=one --filename=file --rw=randwrite --size=256k --bs=8k --fsync=4 --write-log=log --seed=3 \
        --fault=write:short=1k,every=3 | tail -1
      '\(FSImage.program)' replay --list log >list
      grep mark list
      truncate -s 256K again
      b replay log again
      cmp file again && echo same
      """)
    #expect(text == "exit 0\n0 0 0 mark begin one\n\(try Self.last(text, "end one"))\nexit 0\nsame\n", "\(text)")
  }
  private static func last(_ text: String, _ mark: String) throws -> String {
    try #require(lines(text).first { $0.hasSuffix(mark) })
  }

  @Test("a log replays up to a mark or an entry; one that is cut off up to there, which is said")
  func replay() throws {
    let image = try FSImage(byteCount: 4 << 20)
    let text = try Self.run(
      """
      cp "$image" before; cp before half; cp before part
      printf 'put hello /one\\nsync\\nmark halfway\\nput hello /two\\n' | b fs --write-log=log "$image" -
      b replay --until-mark halfway log half
      '\(FSImage.program)' fs half ls / 2>/dev/null
      b replay --until 0 log part; cmp part before && echo untouched
      head -c 5000 log >cut
      b replay cut part
      b replay --until-mark nowhere log part
      b replay --until 9999 log part
      b replay "$image" part
      b replay log before; cmp before "$image" && echo same
      truncate -s 4k small; b replay log small
      b replay log
      b fs "$image" mark alone
      """, on: image)
    for part in [
      "exit 0\nexit 0\nlost+found\none\nexit 0\nuntouched\n",
      "cut is cut off at byte", "entries are there\nexit 1\n", "log has no mark 'nowhere'\nexit 2",
      "entries\nexit 2", "not a log of writes: no magic number\nexit 1", "exit 0\nsame\n",
      "were replayed as far as it goes", "an image is missing", "there is no write log",
    ] { #expect(text.contains(part), "\(part) in \(text)") }
  }

  @Test("strict names the request that was completed twice")
  func strictDuplicate() throws {
    let text = try Self.run(
      "b --name=a --target=fs --ioengine=sim --rw=write --size=64k --image_size=4m --strict --fault=write:duplicate --seed=1"
    )
    #expect(text.contains(" completed twice (--strict)") && text.contains("exit 4"), "\(text)")
    #expect(!text.contains("of bytes 0 to 0 completed twice"), "\(text)")
  }

  @Test("a write log takes the place of an older one, and of nothing else")
  func logFile() throws {
    let text = try Self.run(
      """
      b fs --write-log=hello "$image" ls /
      cat hello
      b fs --write-log="$image" "$image" ls /
      e2fsck -fn "$image" >/dev/null 2>&1 && echo clean
      b check --write-log="$image" --repair "$image" | tail -1
      b fs --write-log=log "$image" put hello /a
      b fs --write-log=log "$image" ls /
      '\(FSImage.program)' replay --list log
      """)
    let refusal = "is there, and is no log of writes\nexit 1\n"
    #expect(text.hasPrefix("blkdev-run: ls: --write-log: hello: \(refusal)hello\n"), "\(text)")
    #expect(text.contains("\(refusal)clean\nexit 8\nexit 0\na\nlost+found\nexit 0\n"), "\(text)")
    #expect(text.hasSuffix("lost+found\nexit 0\n"), "\(text)")
  }

  private static let hasQemu = ExternalTool("qemu-io") != nil

  @Test(
    "qemu's log of its own writes replays to the bytes that qemu left, and qemu goes on with a log of ours",
    .enabled(if: hasQemu, "qemu-io is needed"))
  func qemu() throws {
    let image = try FSImage(byteCount: 1 << 20)
    var ours = WriteLog()
    ours.entries = [
      WriteLogEntry(.forcedUnitAccess, sector: 8, sectorCount: 2, data: [UInt8](repeating: 7, count: 1024)),
      WriteLogEntry(.mark, data: Array("here".utf8)), WriteLogEntry(.discard, sector: 1, sectorCount: 3),
      WriteLogEntry(.flush),
    ]
    let file = try FileDescriptor.open(
      FilePath("\(image.folder)/ours"), .writeOnly, options: [.create], permissions: .ownerReadWrite)
    try file.closeAfter { _ = try file.writeAll(ours.bytes) }
    let text = try Self.run(
      """
      q() { local options=$1; shift; qemu-io "$@" --image-opts \
        "driver=blklogwrites,$options,file.driver=raw,file.file.driver=file,file.file.filename=disk,log.driver=file,log.filename=log" \
        >/dev/null; }
      truncate -s 4M disk again; : >log
      q log-sector-size=512 -c 'write -P 17 0 64k' -c 'write -f -P 34 1M 4k' -c flush -c 'discard 16k 16k' \
        -c 'write -z 32k 4k' -c 'write -P 51 2M 1536'
      b replay log again
      cmp disk again && echo same
      mv ours log; cp disk again
      b replay log disk
      q log-append=on -c 'write -P 18 4k 64k' -c flush
      b replay log again
      cmp disk again && echo same
      '\(FSImage.program)' replay --list log | cut -d' ' -f2-4 | tail -6
      """, on: image)
    let list = ["4096 1024 write+fua", "0 0 mark", "512 1536 discard", "0 0 none+flush", "4096 65536 write"]
    #expect(Self.lines(text).starts(with: ["exit 0", "same", "exit 0", "exit 0", "same"] + list), "\(text)")
  }
}
