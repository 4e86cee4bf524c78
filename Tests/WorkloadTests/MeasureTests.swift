import Ext2
import PageCache
import Testing

@testable import Workload

@Suite("Figures over time")
struct MeasureTests {
  @Test("latencies by bucket are never below what was recorded, and at most an eighth above")
  func buckets() {
    for exponent in 0..<40 {
      let power = UInt64(1) << UInt64(exponent)
      for value in [power, power * 5 / 4, 2 * power - 1] {
        var buckets = LatencyBuckets()
        buckets.record(value)
        let median = buckets.value(atPercent: 50)
        #expect(median >= value && median - value <= value / 8, "\(value): \(median)")
      }
    }
    var buckets = LatencyBuckets()
    for value in 1...1000 as ClosedRange<UInt64> { buckets.record(value * 1000) }
    var other = LatencyBuckets()
    for value in 1...1000 as ClosedRange<UInt64> { other.record(value) }
    #expect((990_000...1_125_000).contains(buckets.value(atPercent: 99)))
    buckets.add(other)
    #expect((990...1_125).contains(buckets.value(atPercent: 49.9)))
    #expect(LatencyBuckets().value(atPercent: 99) == 0)
  }

  @Test("a series that needs more bins than it may have makes them wider, and loses nothing")
  func widening() {
    var series = TimeSeries(binNanoseconds: 10, limit: 4)
    for time in 0..<100 as Range<UInt64> { series.record(.write, at: time, bytes: 3, nanoseconds: time) }
    #expect(series.binNanoseconds == 40)
    let bins = series.bins[.write] ?? []
    #expect(bins.map(\.count) == [40, 40, 20] && bins.map(\.byteCount) == [120, 120, 60])
    #expect(bins.map(\.maximumNanoseconds) == [39, 79, 99] && bins[2].meanNanoseconds == 89)
    // What another copy did is added to the bins of the same time, however wide its own are.
    var other = TimeSeries(binNanoseconds: 10, limit: 4)
    other.record(.write, at: 35, bytes: 1, nanoseconds: 500)
    other.record(.read, at: 5, bytes: 1, nanoseconds: 1)
    series.add(other)
    #expect(series.bins[.write]?.map(\.count) == [41, 40, 20] && series.bins[.write]?[0].maximumNanoseconds == 500)
    #expect(series.bins[.read]?.map(\.count) == [1])
  }

  @Test("amounts of half seconds are what was new in each, and of full ones where there are too many")
  func rates() throws {
    func amounts(_ reads: UInt64, _ writes: UInt64? = nil) -> PerOperation<RateSeries.Amount> {
      var amounts: PerOperation = [.read: RateSeries.Amount(count: reads, byteCount: reads * 512)]
      amounts[.write] = writes.map { RateSeries.Amount(count: $0, byteCount: $0) }
      return amounts
    }
    var rates = RateSeries()
    rates.close(until: 499_999_999, amounts(5))
    #expect(rates.amounts.present.isEmpty && rates.nextEnd == 500_000_000)
    rates.close(until: 500_000_000, amounts(6))
    // What is new belongs to the first of two that are over.
    rates.close(until: 1_600_000_000, amounts(10, 3))
    #expect(rates.amounts[.read]?.map(\.count) == [6, 4, 0] && rates.amounts[.write]?.map(\.count) == [0, 3, 0])
    #expect(rates.amounts[.read]?.map(\.byteCount) == [3072, 2048, 0] && rates.nextEnd == 2_000_000_000)
    var other = RateSeries()
    other.close(until: 2_000_000_000, amounts(8))
    rates.add(other)
    #expect(
      rates.amounts[.read]?.map(\.count) == [14, 4, 0, 0] && rates.amounts[.write]?.map(\.count) == [0, 3, 0, 0])
    var long = RateSeries()
    for half in 1...20_001 as ClosedRange<UInt64> { long.close(until: half * 500_000_000, amounts(half)) }
    #expect(long.interval == 4_000_000_000 && long.amounts[.read]?.count == 2500)
    #expect(long.amounts[.read]?.allSatisfy { $0.count == 8 } == true)
    long.add(rates)
    #expect(long.amounts[.read]?.prefix(2).map(\.count) == [8, 8] && long.interval == 4_000_000_000)
  }

  @Test("counters over time sum to what they have grown by")
  func counters() {
    var series = CounterSeries(binNanoseconds: 10, names: ["a", "b"], values: [5, 0], limit: 4)
    #expect(series.isDue(at: 0))
    series.sample([6, 1], at: 3)
    #expect(!series.isDue(at: 9) && series.isDue(at: 10))
    series.sample([9, 1], at: 25)
    series.sample([10, 4], at: 79)
    #expect(series.binNanoseconds == 20 && series.rows == [[4, 1], [1, 3], [0, 0], [0, 0]])
    var other = CounterSeries(binNanoseconds: 10, names: ["a", "b"], values: [0, 0], limit: 4)
    other.sample([1, 1], at: 0)
    other.sample([2, 1], at: 15)
    series.add(other)
    #expect(series.rows == [[6, 2], [1, 3], [0, 0], [0, 0]])
  }

  @Test("a counter that grows evenly, sampled when a bin begins, has the same growth in every bin")
  func evenly() {
    var series = CounterSeries(binNanoseconds: 10, names: ["a"], values: [0], from: 20)
    for time in 20..<60 as Range<UInt64> where series.isDue(at: time) { series.sample([(time - 20) * 3], at: time) }
    series.sample([120], at: 59)
    #expect(series.rows == [[0], [0], [30], [30], [30], [30]])
  }

  @Test("accesses are counted in every row that they touch, and stay when columns grow wider")
  func accesses() {
    var map = AccessMap(deviceByteCount: 6400, columnNanoseconds: 1)
    map.note(0..<100, isWrite: true, at: 0)
    map.note(150..<350, isWrite: false, at: 1)
    map.note(6300..<6400, isWrite: true, at: 600)
    #expect(map.columnNanoseconds == 4)
    #expect(map.writes[0][0] == 1 && map.writes[150][63] == 1 && map.writes.joined().reduce(0, +) == 2)
    #expect(map.reads[0][1...3].allSatisfy { $0 == 1 } && map.reads.joined().reduce(0, +) == 3)
  }

  @Test("what jobs did in each bin sums to the report, on devices and on a volume", arguments: ["dev", "fs"])
  func sums(target: String) async throws {
    let report = try await runJobs([
      "--name=a", "--target=\(target)", "--ioengine=sim", "--rw=randrw", "--size=2m", "--iodepth=4", "--numjobs=2",
      "--fsync=16", "--log_avg_msec=1", "--html=/dev/null",
    ])
    #expect(report.findings.isEmpty && report.groups.count == 2)
    for group in report.groups {
      let series = try #require(group.series)
      for (operation, figures) in group.operations.present {
        let bins = series.bins[operation] ?? []
        #expect(bins.reduce(0) { $0 + $1.count } == figures.count)
        #expect(bins.reduce(0) { $0 + $1.byteCount } == figures.bytes)
        #expect(bins.map(\.maximumNanoseconds).max() == figures.latency?.maximum)
      }
      #expect((series.bins[.write] ?? []).count > 3)
    }
    let counters = try #require(report.counterSeries)
    let flushes = try #require(counters.names.firstIndex(of: "flushes"))
    let sum = counters.rows.reduce(0) { $0 + $1[flushes] }
    #expect(sum > 0 && sum <= report.device?.flushes ?? 0)
    let map = try #require(report.accessMaps.first).map
    #expect(map.writes.joined().reduce(0, +) > 0)
    if target == "dev" {
      #expect(map.writes.joined().reduce(0, +) == UInt32(report.device?.writes ?? 0))
      #expect(map.reads.joined().reduce(0, +) == UInt32(report.device?.reads ?? 0))
    } else {
      let sizes = try #require(report.writeback).batchSizes
      #expect(sizes.reduce(0, +) == report.writeback?.batches)
    }
    #expect(report.processor == nil)
  }

  @Test("in simulation the figures over time follow from the seed")
  func deterministic() async throws {
    let arguments = smallStorm(engine: "sim", runtime: "50ms", more: ["--log_avg_msec=1"])
    let one = try await runJobs(arguments), other = try await runJobs(arguments)
    #expect(one == other && one.counterSeries != nil)
    #expect(JSONReport.text(one, .test) == JSONReport.text(other, .test))
  }

  @Test("what is dirty becomes durable with the flush after its write, and not before")
  func dirtyTime() async throws {
    let report = try await runJobs([
      "--name=a", "--target=fs", "--ioengine=sim", "--rw=write", "--size=256k", "--bs=4k", "--end_fsync=1",
    ])
    let volume = try #require(report.volume)
    #expect(volume.dirtyTime.pages == 64)
    // From the first write, which takes at least as long as the simulated processor, to the end of the flush.
    #expect(volume.dirtyTime.maximumNanoseconds > 64 * 20_000)
    let mean = try #require(volume.meanDirtyNanoseconds)
    #expect(mean < volume.dirtyTime.maximumNanoseconds && mean > volume.dirtyTime.maximumNanoseconds / 4)
    #expect(volume.givenBytes == 256 << 10 && volume.written.data == 256 << 10)
    #expect(
      volume.written.tree > 0 && volume.written.inodes > 0 && volume.written.bitmaps > 0
        && volume.written.superblock > 0)
  }

  @Test("the hour of a second each is below 5 MiB of JSON")
  func size() {
    var report = fullReport()
    var series = TimeSeries(binNanoseconds: 1_000_000_000)
    var counters = CounterSeries(
      binNanoseconds: 1_000_000_000, names: ["batches", "batch_bytes", "flushes"], values: [0, 0, 0])
    for second in 0..<3600 as Range<UInt64> {
      for operation in [ReportedOperation.read, .write] {
        series.record(operation, at: second * 1_000_000_000, bytes: 1 << 40, nanoseconds: 987_654_321)
      }
      counters.sample([second * 123_456, second * 123_456_789, second * 12_345], at: second * 1_000_000_000)
    }
    report.groups = (0..<8).map { _ in
      var group = report.groups[0]
      group.series = series
      return group
    }
    report.counterSeries = counters
    report.wantsSeries = true
    let text = JSONReport.text(report, .test)
    #expect(series.bins[.read]?.count == 3600)
    #expect(text.utf8.count < 5 << 20, "\(text.utf8.count) bytes")
  }

  @Test("a run says what made it, and system calls are those of the device and of the reactor")
  func provenance() async throws {
    let image = try ScratchFile([UInt8](repeating: 0, count: 1 << 20))
    let control = RunControl(
      logger: quietControl().logger, provenance: Provenance(version: "1", commit: nil))
    let report = try await runJobs(
      ["--name=a", "--filename=\(image.path)", "--rw=randread", "--size=1m", "--iodepth=8"], control: control)
    let provenance = try #require(report.provenance)
    #expect(provenance.fileSystems.map(\.path) == [image.path] && provenance.fileSystems[0].type != "")
    #expect(provenance.kernel.hasPrefix("Linux ") && provenance.processorCount > 0)
    let calls = try #require(report.device).systemCalls
    // Each operation takes part in at least one io_submit with up to eight.
    #expect(calls >= 256 / 8 && calls < 256 * 6)
    let processor = try #require(report.processor)
    #expect(processor.user + processor.system > 0)
    #expect(report.groups[0].processor == processor)
  }
}
