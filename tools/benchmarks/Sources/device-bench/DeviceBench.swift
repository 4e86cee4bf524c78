// Our side of tools/bench device: random 4 KiB blocks of a file, through the request queue.
//
//     device-bench PATH read|write DEPTH BATCH SECONDS polled|latency|async
//
// `polled` is the synchronous core, `latency` the same with every latency recorded, `async` as many tasks as the depth
// that await the queue. Prints IOPS, CPU microseconds an operation, and with `latency` the median and 99th percentile
// in nanoseconds.
internal import BlockDevice
internal import Glibc
internal import Histogram
internal import Reactor

struct Arguments: Sendable {
  enum Mode: String { case polled, latency, async }
  let path: String
  let operation: Operation
  let depth: Int
  let batch: Int
  let nanoseconds: UInt64
  let mode: Mode

  init?(_ words: [String]) {
    guard words.count == 7, let depth = Int(words[3]), let batch = Int(words[4]), let seconds = Double(words[5]),
      let mode = Mode(rawValue: words[6])
    else { return nil }
    path = words[1]
    operation = words[2] == "write" ? .write : .read
    self.depth = depth
    self.batch = batch
    nanoseconds = UInt64(seconds * 1e9)
    self.mode = mode
  }
}

/// The process's CPU time in microseconds, user and system.
func cpuMicroseconds() -> Double {
  var usage = rusage()
  // 0 is RUSAGE_SELF.
  unsafe getrusage(.init(0), &usage)
  return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
    + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
}

/// What one run did.
struct Figures: Sendable {
  var operationCount = 0
  var nanoseconds: UInt64 = 0
  var cpuMicroseconds = 0.0
  var percentiles: [UInt64] = []
}

@main
enum DeviceBench {
  static func main() async throws {
    guard let arguments = Arguments(CommandLine.arguments) else {
      print("usage: device-bench PATH read|write DEPTH BATCH SECONDS polled|latency|async")
      exit(2)
    }
    let figures = try await run(arguments)
    let perSecond = Double(figures.operationCount) / Double(figures.nanoseconds) * 1e9
    let cpu = figures.cpuMicroseconds / Double(figures.operationCount)
    let words = [perSecond.rounded().description, cpu.description] + figures.percentiles.map(\.description)
    print(words.joined(separator: " "))
  }

  nonisolated static func run(_ arguments: Arguments) async throws -> Figures {
    let reactor = ThreadReactor()
    defer { reactor.stop() }
    return try await reactor.run {
      var options = FileDevice.Options()
      options.signalsCompletions = arguments.mode == .async
      let device = try FileDevice(path: arguments.path, options: options)
      // fio sorts nothing either.
      var configuration = RequestQueue.Configuration(tagCount: arguments.depth, order: .arrival)
      configuration.placeCount = arguments.depth + configuration.writebackReserve + 2
      if arguments.mode == .async {
        return try await AsyncLoad(reactor, device, configuration, arguments).run()
      }
      // Neither fio nor the twin has deadlines, for which the clock is read once a turn.
      configuration.timeoutNanoseconds = nil
      let queue = try RequestQueue(device: device, reactor: reactor, configuration: configuration)
      defer { queue.close() }
      return PolledLoad(queue, arguments).run()
    }
  }
}
