public import Reactor
internal import Workload

/// What happens on a reactor, as Chrome trace events, which Perfetto and chrome://tracing draw (Trace Event Format).
///
/// There is a process for the steps of the experiment, one for its tasks, of which the waits are drawn, one for the
/// device, with a line a tag, and one for writeback, with the batches that are under way and those that were stale.
public final class ChromeTrace {
  private struct Slice {
    let line: Line
    let name: String
    let begin: UInt64
    var end: UInt64?
    var details: [(String, String)]
  }
  private struct Line: Hashable {
    let process: TraceEvent.Kind
    let number: Int
  }

  private var slices: [Slice] = []
  /// The slices that have not ended.
  private var open: [TraceEvent.Kind: [UInt64: Int]] = [:]
  private var busy: Set<Line> = []
  /// The lines of each task's name: more than one where several tasks of that name wait at once.
  private var lines: [String: [Line]] = [:]
  private var lineNames: [Line: String] = [:]
  private var taskCount = 0
  private var last: UInt64 = 0
  private let limit: Int
  /// Slices that were left out, because there were too many.
  private var leftOutCount = 0

  /// - Parameter limit: how many slices are kept; what begins when there are so many is left out. A slice takes some 300
  ///   bytes.
  public init(limit: Int = .max) { self.limit = limit }

  /// Collects what happens on a reactor from now on.
  public func watch(_ reactor: Reactor) {
    reactor.onTrace = { [unowned reactor] event in self.note(event, reactor.now.nanoseconds) }
  }

  private func note(_ event: TraceEvent, _ now: UInt64) {
    last = max(last, now)
    let details = event.details.map { ($0.key, $0.value) }
    if event.phase != .end && slices.count >= limit {
      leftOutCount += 1
      return
    }
    switch event.phase {
    case .begin:
      let line = line(for: event)
      busy.insert(line)
      open[event.kind, default: [:]][event.number] = slices.count
      slices.append(Slice(line: line, name: event.name, begin: now, details: details))
    case .end:
      guard let index = open[event.kind]?.removeValue(forKey: event.number) else { return }
      slices[index].end = now
      slices[index].details += details
      busy.remove(slices[index].line)
    case .instant:
      let line = Line(process: event.kind, number: 0)
      lineNames[line] = event.kind == .batch ? "stale" : event.kind.rawValue
      slices.append(Slice(line: line, name: event.name, begin: now, end: now, details: details))
    }
  }

  private func line(for event: TraceEvent) -> Line {
    switch event.kind {
    case .step: return Line(process: .step, number: 0)
    case .request:
      let line = Line(process: .request, number: Int(clamping: event.number))
      lineNames[line] = "tag \(event.number)"
      return line
    case .batch:
      var number = 1
      while busy.contains(Line(process: .batch, number: number)) { number += 1 }
      lineNames[Line(process: .batch, number: number)] = "batches \(number)"
      return Line(process: .batch, number: number)
    case .wait:
      let name = event.task ?? "an unnamed task"
      if let free = lines[name]?.first(where: { !busy.contains($0) }) { return free }
      taskCount += 1
      let line = Line(process: .wait, number: taskCount)
      lines[name, default: []].append(line)
      lineNames[line] = name
      return line
    }
  }

  // MARK: The file

  /// The JSON document. Times are the reactor's, from its start on.
  public var text: String { Self.document(events()) }

  /// The document of these events.
  public static func document(_ events: [String]) -> String {
    "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n" + events.joined(separator: ",\n") + "\n]}\n"
  }

  /// The events, of which a document may have those of several reactors.
  ///
  /// - Parameter reactor: the number of this one among them; 0 where there is one.
  public func events(reactor: Int = 0) -> [String] {
    processOffset = reactor * Self.processNames.count
    var events: [String] = []
    for (process, name) in Self.processNames {
      let which = reactor == 0 ? "" : " \(reactor + 1)"
      let missing = leftOutCount == 0 ? "" : " (the first \(limit) events; \(leftOutCount) more were left out)"
      events.append(naming("process_name", Line(process: process, number: 0), name + which + missing))
    }
    for (line, name) in lineNames.sorted(by: { Self.place($0.key) < Self.place($1.key) }) {
      events.append(naming("thread_name", line, name))
    }
    // Perfetto wants an outer slice before those in it.
    let order = slices.indices.sorted { (slices[$0].begin, $0) < (slices[$1].begin, $1) }
    return events + order.map { event(slices[$0]) }
  }

  private static let processNames: KeyValuePairs<TraceEvent.Kind, String> = [
    .step: "steps", .wait: "tasks: what they wait for", .request: "device", .batch: "writeback",
  ]

  private static func processNumber(_ kind: TraceEvent.Kind) -> Int {
    (processNames.firstIndex { $0.key == kind } ?? 0) + 1
  }

  private static func place(_ line: Line) -> (Int, Int) { (processNumber(line.process), line.number) }

  private var processOffset = 0

  private func head(_ phase: String, _ line: Line, _ name: String) -> String {
    let (process, thread) = Self.place(line)
    return
      "{\"ph\": \"\(phase)\", \"pid\": \(process + processOffset), \"tid\": \(thread), \"name\": \(Self.quoted(name))"
  }

  private func naming(_ what: String, _ line: Line, _ name: String) -> String {
    head("M", line, what) + ", \"args\": {\"name\": \(Self.quoted(name))}}"
  }

  private static func quoted(_ text: String) -> String { JSONValue.string(text).text() }

  private static func microseconds(_ nanoseconds: UInt64) -> String {
    let rest = String(nanoseconds % 1000)
    return "\(nanoseconds / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
  }

  private func event(_ slice: Slice) -> String {
    var details = slice.details
    let isInstant = slice.end == slice.begin && slice.line.number == 0 && slice.line.process == .batch
    if slice.end == nil { details.append(("ended", "no")) }
    let arguments = details.map { "\(Self.quoted($0.0)): \(Self.quoted($0.1))" }.joined(separator: ", ")
    let times =
      ", \"ts\": \(Self.microseconds(slice.begin))"
      + (isInstant ? ", \"s\": \"t\"" : ", \"dur\": \(Self.microseconds((slice.end ?? last) - slice.begin))")
    return head(isInstant ? "i" : "X", slice.line, slice.name) + ", \"cat\": \"\(slice.line.process.rawValue)\""
      + times + ", \"args\": {\(arguments)}}"
  }
}
