import Glibc
import Reactor
import Testing

@testable import Workload

@Suite("The operations of a job")
struct LoadTests {
  /// The first steps of a job's only copy, on files of so many bytes.
  private func steps(_ count: Int, bytes: UInt64 = 1 << 20, files: Int = 1, _ options: String...) throws -> [Step] {
    let job = try plan(arguments: ["--name=a", "--filename=x", "--randseed=7"] + options).jobs[0]
    let copy = JobCopy(job, jobIndex: 0, copy: 0, files: Array(repeating: 0..<bytes, count: files))
    copy.begin(at: Instant(nanoseconds: 0))
    var random = copy.generator(of: 0)
    var steps: [Step] = []
    while steps.count < count, copy.takeTurn(at: Instant(nanoseconds: 0)) {
      steps.append(copy.nextStep(&random, at: nil))
    }
    return steps
  }

  @Test("a sequential pattern goes from one end to the other, and a random one touches each block once a pass")
  func coverage() throws {
    let sequential = try steps(1000, "--rw=write")
    #expect(sequential.map(\.offset) == (0..<256).map { $0 * 4096 })
    let random = try steps(1000, "--rw=randread")
    #expect(random.count == 256 && random.map(\.offset) != sequential.map(\.offset))
    #expect(random.map(\.offset).sorted() == sequential.map(\.offset))
    let twice = try steps(1000, "--rw=randread", "--loops=2")
    #expect(twice.count == 512 && Set(twice[256...].map(\.offset)).count == 256)
    #expect(twice[..<256].map(\.offset) != twice[256...].map(\.offset))
  }

  @Test("what ends a job: its bytes, or a number of operations")
  func ends() throws {
    #expect(try steps(1000, "--rw=read", "--io_size=40k").count == 10)
    #expect(try steps(1000, "--rw=read", "--io_size=2m").count == 512)
    #expect(try steps(1000, "--rw=randwrite", "--number_ios=17").count == 17)
    #expect(try steps(10, "--rw=flush", "--number_ios=3").count == 3)
  }

  @Test("a sequential pattern with a number skips so much, and a random one draws so seldom")
  func modifiers() throws {
    let skipping = try steps(20, "--rw=read:12k")
    #expect(skipping.map(\.offset) == (0..<20).map { $0 * 16384 })
    let runs = try steps(64, bytes: 1 << 30, "--rw=randread:4", "--norandommap")
    for index in runs.indices where index % 4 != 0 {
      #expect(runs[index].offset == runs[index - 1].offset + 4096)
    }
    let half = try steps(4000, bytes: 1 << 30, "--rw=randread", "--percentage_random=50", "--norandommap")
    let following = zip(half, half.dropFirst()).count { $1.offset == $0.offset + 4096 }
    #expect(1800...2200 ~= following)
  }

  @Test("sizes come in their shares, aligned and inside the file")
  func sizes() throws {
    let split = try steps(10_000, bytes: 1 << 30, "--rw=randread", "--bssplit=4k/60:16k/30:64k/10", "--norandommap")
    for (size, share) in [(4096, 0.6), (16384, 0.3), (65536, 0.1)] {
      let count = Double(split.count { $0.byteCount == size })
      // Five deviations of a binomial law.
      #expect(abs(count - 10_000 * share) < 5 * (10_000 * share * (1 - share)).squareRoot(), "\(size)")
    }
    for options in [["--bsrange=1k-7k"], ["--bssplit=4k/50:12k/50", "--blockalign=4k"]] {
      let job = try plan(
        arguments: ["--name=a", "--filename=x", "--rw=randwrite", "--time_based", "--runtime=1"] + options)
      let copy = JobCopy(job.jobs[0], jobIndex: 0, copy: 0, files: [8192..<8192 + 40_960])
      var random = copy.generator(of: 0)
      for _ in 0..<2000 {
        #expect(copy.takeTurn(at: Instant(nanoseconds: 0)))
        let step = copy.nextStep(&random, at: nil)
        #expect(step.byteCount > 0 && step.offset >= 8192 && step.range.upperBound <= 8192 + 40_960)
        #expect(step.byteCount % job.jobs[0].smallestBlock == 0)
      }
    }
  }

  @Test("a mix has its share of reads")
  func mix() throws {
    let mixed = try steps(10_000, bytes: 1 << 30, "--rw=randrw", "--rwmixread=70")
    #expect(6770...7230 ~= mixed.count { !$0.isWrite })
    #expect(try steps(100, "--rw=rw", "--rwmixwrite=0").allSatisfy { !$0.isWrite })
  }

  @Test("files are served in turn, at random, or one after the other")
  func files() throws {
    #expect(try steps(6, files: 3, "--rw=read").map(\.file) == [0, 1, 2, 0, 1, 2])
    let oneByOne = try steps(1000, bytes: 8192, files: 3, "--rw=read", "--file_service_type=sequential").map(\.file)
    #expect(oneByOne == [0, 0, 1, 1, 2, 2])
    let any = try steps(3000, files: 3, "--rw=randread", "--file_service_type=random", "--norandommap", "--io_size=1g")
    for file in 0..<3 { #expect(850...1150 ~= any.count { $0.file == file }) }
  }

  // MARK: Distributions

  /// How often each of `count` blocks is drawn in `draws`.
  private func histogram(_ law: String, count: Int, draws: Int) throws -> [Int] {
    var histogram = [Int](repeating: 0, count: count)
    let steps = try steps(
      draws, bytes: UInt64(count) * 4096, "--rw=randread", "--random_distribution=\(law)", "--norandommap",
      "--io_size=100g")
    for step in steps { histogram[Int(step.offset / 4096)] += 1 }
    return histogram
  }

  @Test("random offsets are alike (chi squared)")
  func uniform() throws {
    let counts = try histogram("random", count: 100, draws: 100_000)
    let chi = counts.reduce(0.0) { $0 + (Double($1) - 1000) * (Double($1) - 1000) / 1000 }
    // 99 degrees of freedom: mean 99, deviation 14.
    #expect(50...170 ~= chi)
  }

  @Test("zipf's most wanted blocks fall off as its theta says", arguments: [0.5, 0.9, 1.1, 2.0])
  func zipf(_ theta: Double) throws {
    let counts = try histogram("zipf:\(theta)", count: 1000, draws: 400_000).sorted(by: >)
    // The exact law, for the ranks that are drawn often.
    let sum = (1...1000).reduce(0.0) { $0 + pow(Double($1), -theta) }
    for rank in [1, 2, 4, 8, 16] {
      let expected = 400_000 * pow(Double(rank), -theta) / sum
      // Sorting favours the luckier of ranks that are drawn alike.
      #expect(abs(Double(counts[rank - 1]) - expected) < 8 * expected.squareRoot() + 0.02 * expected, "\(rank)")
    }
  }

  @Test("pareto gives its share of the accesses to its share of the blocks")
  func pareto() throws {
    let counts = try histogram("pareto:0.2", count: 1000, draws: 200_000).sorted(by: >)
    let share = Double(counts[..<200].reduce(0, +)) / 200_000
    #expect(0.78...0.84 ~= share)
  }

  @Test("normal offsets have their mean in the middle, and their deviation")
  func normal() throws {
    let counts = try histogram("normal:10", count: 1000, draws: 100_000)
    let mean = counts.enumerated().reduce(0.0) { $0 + Double($1.offset) * Double($1.element) } / 100_000
    let variance = counts.enumerated().reduce(0.0) {
      $0 + (Double($1.offset) - mean) * (Double($1.offset) - mean) * Double($1.element)
    }
    let deviation = (variance / 100_000).squareRoot()
    #expect(495...505 ~= mean && 98...102 ~= deviation)
  }

  @Test("zones get their accesses, and a hot spot is hot")
  func zones() throws {
    let zoned = try histogram("zoned:60/10:30/20:10/70", count: 1000, draws: 100_000)
    #expect(59_000...61_000 ~= zoned[..<100].reduce(0, +))
    #expect(29_000...31_000 ~= zoned[100..<300].reduce(0, +))
    let absolute = try histogram("zoned_abs:90/400k:10/400k", count: 1000, draws: 100_000)
    #expect(89_000...91_000 ~= absolute[..<100].reduce(0, +))
    #expect(absolute[200...].allSatisfy { $0 == 0 })
    let hot = try histogram("hotspot:90/10", count: 1000, draws: 100_000)
    #expect(89_000...91_000 ~= hot[..<100].reduce(0, +))
  }

  // MARK: Rates

  @Test("a rate sets when operations are meant to begin, of each direction")
  func rates() throws {
    let linear = try steps(100, "--rw=read", "--rate_iops=1000")
    #expect(linear.map(\.due) == (0..<100).map { UInt64($0) * 1_000_000 })
    let bytes = try steps(100, "--rw=write", "--rate=4m")
    let interval = 976_562.5
    #expect(bytes.map(\.due) == (0..<100).map { UInt64(Double($0) * interval) })
    let mixed = try steps(200, "--rw=randrw", "--rate_iops=,100", "--norandommap")
    #expect(mixed.allSatisfy { $0.isWrite == ($0.due != nil) })
    let writes = mixed.filter(\.isWrite)
    #expect(writes.map(\.due) == writes.indices.map { UInt64($0) * 10_000_000 })
  }

  @Test("independent users come at the same rate, at exponential distances")
  func poisson() throws {
    let due = try steps(
      20_000, bytes: 1 << 30, "--rw=randread", "--rate_iops=1000", "--rate_process=poisson"
    ).map { Double($0.due ?? 0) / 1e6 }
    let gaps = zip(due.dropFirst(), due).map { $0 - $1 }
    let mean = gaps.reduce(0, +) / Double(gaps.count)
    let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
    #expect(0.96...1.04 ~= mean)
    #expect(0.93...1.07 ~= variance.squareRoot())
  }
}
