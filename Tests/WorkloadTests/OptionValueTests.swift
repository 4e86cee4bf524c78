import Testing
import Workload

@Suite("Values of options")
struct OptionValueTests {
  private func bytes(_ text: String) throws(ValueProblem) -> UInt64? {
    if case .number(let number) = try JobOption.Kind.bytes(0...UInt64.max).parse(text) { number } else { nil }
  }

  static let sizes: [(String, UInt64)] = [
    ("0", 0), ("1", 1), ("512", 512), ("512b", 512), ("4k", 4096), ("4K", 4096), ("4kb", 4096), ("4KiB", 4096),
    ("4ki", 4096), ("1m", 1 << 20), ("3MB", 3 << 20), ("1g", 1 << 30), ("2GiB", 2 << 30), ("1t", 1 << 40),
    ("0x1000", 4096), ("0X10", 16), ("18446744073709551615", .max), ("16777215t", 16_777_215 << 40),
  ]

  @Test("sizes take suffixes that are powers of 1024, and hexadecimal", arguments: sizes)
  func readsSizes(_ text: String, _ expected: UInt64) throws {
    #expect(try bytes(text) == expected)
  }

  static let badSizes: [(String, ValueProblem)] = [
    ("", .missing), ("k", .notANumber), ("-1", .notANumber), ("+1", .notANumber), ("1.5k", .notANumber),
    ("0x", .notANumber), ("0xg", .notANumber), ("0x+1", .notANumber), ("٤k", .notANumber),
    ("4q", .unknownSuffix("q", allowed: "k, m, g, t or p")),
    ("4 k", .unknownSuffix(" k", allowed: "k, m, g, t or p")),
    ("50%", .percentageNotSupported), ("4k,64k", .perDirectionNotSupported),
    ("18446744073709551616", .outOfRange(minimum: 0, maximum: .max - 1)),
    ("16777216t", .outOfRange(minimum: 0, maximum: 16_777_215)),
  ]

  @Test("what is no size is refused with its reason", arguments: badSizes)
  func refusesSizes(_ text: String, _ problem: ValueProblem) {
    #expect(throws: problem) { try bytes(text) }
  }

  static let durations: [(String, UInt64)] = [
    ("0", 0), ("10", 10_000_000_000), ("10s", 10_000_000_000), ("250ms", 250_000_000), ("7us", 7_000),
    ("2m", 120_000_000_000), ("1h", 3_600_000_000_000), ("1d", 86_400_000_000_000),
  ]

  @Test("times are seconds unless a suffix says otherwise", arguments: durations)
  func readsDurations(_ text: String, _ expected: UInt64) throws {
    #expect(try JobOption.Kind.duration.parse(text) == .number(expected))
  }

  @Test("a time that has no place in nanoseconds is refused, and so is an unknown unit")
  func refusesDurations() {
    #expect(throws: ValueProblem.outOfRange(minimum: 0, maximum: 53_375)) {
      try JobOption.Kind.duration.parse("53376d")
    }
    #expect(throws: ValueProblem.rangeOfTimes) { try JobOption.Kind.duration.parse("1-2") }
    #expect(throws: ValueProblem.unknownSuffix("x", allowed: "us, ms, s, m, h or d")) {
      try JobOption.Kind.duration.parse("3x")
    }
  }

  @Test("a boolean is 0 or 1, and 1 when only its name is given")
  func booleans() throws {
    #expect(try JobOption.Kind.boolean.parse(nil) == .flag(true))
    #expect(try JobOption.Kind.boolean.parse("1") == .flag(true))
    #expect(try JobOption.Kind.boolean.parse("0") == .flag(false))
    #expect(throws: ValueProblem.notBoolean) { try JobOption.Kind.boolean.parse("yes") }
    #expect(throws: ValueProblem.missing) { try JobOption.Kind.integer(0...1).parse(nil) }
  }

  @Test("values by direction are for all, or for reads, then writes and trims, then trims")
  func directions() throws {
    func sizes(_ text: String) throws -> [Int] {
      let job = try plan(arguments: ["--name=a", "--filename=x", "--bs=\(text)"]).jobs[0]
      return Direction.allCases.map { job.load.blockSizes[$0].largest }
    }
    #expect(try sizes("8k") == [8192, 8192, 8192])
    #expect(try sizes("8k,16k") == [8192, 16384, 16384])
    #expect(try sizes("8k,16k,") == [8192, 16384, 4096])
    #expect(try sizes(",16k") == [4096, 16384, 16384])
    #expect(try sizes("8k,16k,32k") == [8192, 16384, 32768])
    #expect(throws: (any Error).self) { try sizes("1k,2k,3k,4k") }
  }

  @Test("a split shares what no percentage was given for, and a range has two ends")
  func splits() throws {
    func load(_ option: String) throws -> Load {
      try plan(arguments: ["--name=a", "--filename=x", option]).jobs[0].load
    }
    #expect(
      try load("--bssplit=4k/50:64k/:32k/").blockSizes.read
        == .split([.init(4096, percent: 50), .init(65536, percent: 25), .init(32768, percent: 25)]))
    #expect(
      try load("--bssplit=1k:2k:4k").blockSizes.write
        == .split([.init(1024, percent: 33), .init(2048, percent: 33), .init(4096, percent: 34)]))
    #expect(try load("--bsrange=4k-64k").blockSizes.trim == .range(4096...65536))
    for bad in ["--bssplit=4k/60:8k/60", "--bssplit=4k/50", "--bsrange=8k-4k", "--bsrange=4k", "--bssplit="] {
      #expect(throws: JobError.self) { try load(bad) }
    }
    let last = try plan(arguments: ["--name=a", "--filename=x", "--bssplit=4k/100", "--bs=8k"]).jobs[0]
    #expect(last.load.blockSizes.read == .fixed(8192))
  }

  @Test(
    "a distribution is read, and gives its text back",
    arguments: [
      "random", "zipf:1.2", "pareto:0.2", "normal:20.0", "zoned:60.0/10.0:30.0/20.0:10.0/70.0",
      "zoned_abs:75.0/1048576:25.0/4096", "hotspot:90.0/10.0",
    ])
  func distributions(_ text: String) throws {
    #expect(try JobOption.Kind.distribution.parse(text) == .distribution(OffsetDistribution(text: text)))
    #expect(try OffsetDistribution(text: text).text == text)
  }

  @Test(
    "a distribution that means nothing is refused",
    arguments: [
      "zipf:1", "zipf:x", "zipf:0", "pareto:1.5", "normal:-1", "zoned:50/50", "zoned:60/10:50/90", "zoned",
      "hotspot:100/10",
      "hotspot:90", "gauss:1", "random:1", "zoned:nan/100", "normal:inf", "zipf:-1",
    ])
  func badDistributions(_ text: String) {
    #expect(throws: ValueProblem.self) { try OffsetDistribution(text: text) }
  }

  static let badValues: [(JobOption.Name, String, ValueProblem)] = [
    (.rw, "randwrit", .notOneOf(AccessPattern.allCases.map(\.rawValue), nearest: "randwrite")),
    (.rw, "randwrite:0", .outOfRange(minimum: 1, maximum: 1 << 40)),
    (.rw, "randwrite:", .notANumber),
    (.blockSize, "0", .outOfRange(minimum: 1, maximum: 1 << 30)),
    (.copies, "0", .outOfRange(minimum: 1, maximum: 4096)),
    (.copies, "two", .notANumber),
    (.filename, "a::b", .emptyName),
    (.filename, ":a", .emptyName),
    (.filename, "a:b:a", .repeatedName("a")),
    (.fileOperations, "write", .malformedWeight("write")),
    (.fileOperations, "write:1:2", .malformedWeight("write:1:2")),
    (.fileOperations, "write:-1", .malformedWeight("write:-1")),
    (.fileOperations, "write:1000001", .malformedWeight("write:1000001")),
    (.fileOperations, "write:1,", .malformedWeight("")),
    (
      .fileOperations, "trunkate:1",
      .unknownOperation("trunkate", allowed: FileOperation.allCases.map(\.rawValue), nearest: "truncate")
    ),
    (.fileOperations, "read:1,read:2", .repeatedOperation("read")),
    (.fileOperations, "read:0,write:0", .noWeight),
  ]

  @Test("values outside what an option allows are refused with the reason", arguments: badValues)
  func refusesValues(_ name: JobOption.Name, _ text: String, _ problem: ValueProblem) {
    #expect(throws: problem) { try JobOption.option(name).kind.parse(text) }
  }

  @Test("a mix of operations gives every operation its share of the points, whatever the order it was written in")
  func mixes() throws {
    let kind = JobOption.option(.fileOperations).kind
    let value = try kind.parse("fsync:1, write:3,truncate:2,read:0")
    #expect(try kind.parse("write:3,fsync:1,truncate:2") == value)
    guard case .mix(let mix) = value else {
      Issue.record("not a mix")
      return
    }
    #expect(mix.total == 6)
    #expect((0..<6).map { mix.operation(at: $0) } == [.write, .write, .write, .truncate, .truncate, .fsync])
    #expect(mix.text == "write:3,truncate:2,fsync:1")
    #expect(!mix.contains(.read))
  }

  @Test("names have colons between them, and behind a backslash in them, as in fio")
  func names() throws {
    let kind = JobOption.option(.filename).kind
    #expect(try kind.parse("a:b c:d") == .names(["a", "b c", "d"]))
    #expect(try kind.parse(#"/dev/dsk/foo@3,0\:c:b\c\\::\:"#) == .names(["/dev/dsk/foo@3,0:c", #"b\c\:"#, ":"]))
    #expect(throws: ValueProblem.emptyName) { try kind.parse("a::b") }
    #expect(throws: ValueProblem.emptyName) { try kind.parse("a:") }
    #expect(throws: ValueProblem.repeatedName("a:")) { try kind.parse(#"a\::a\:"#) }
  }

  @Test("every option stands in the table once, and its default is a value of it")
  func table() throws {
    #expect(JobOption.all.map(\.name).count == Set(JobOption.all.map(\.name)).count)
    #expect(Set(JobOption.all.map(\.name)) == Set(JobOption.Name.allCases))
    for option in JobOption.all {
      if let text = option.defaultText { _ = try option.kind.parse(text) }
      #expect(JobOption.named(option.name.rawValue)?.name == option.name)
    }
  }

  static let nearest: [(String, String?)] = [
    ("bs", "bs"), ("sb", "bs"), ("sizes", "size"), ("numjosb", "numjobs"), ("xyz", nil), ("", nil), ("BS", "bs"),
    ("NumJobs", "numjobs"),
    (String(repeating: "a", count: 10_000), nil),
  ]

  @Test("the nearest name is near, or there is none", arguments: nearest)
  func nearestNames(_ name: String, _ expected: String?) {
    #expect(nearestName(to: name, among: ["bs", "size", "numjobs"]) == expected)
  }
}
