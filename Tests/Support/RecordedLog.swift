package import Logging
internal import Synchronization

/// What a logger was told.
package final class RecordedLog: Sendable {
  private let recorded = Mutex<[String]>([])
  package var messages: [String] { recorded.withLock { $0 } }
  package var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }
  package init() {}

  private struct Handler: LogHandler {
    let log: RecordedLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { log.recorded.withLock { $0.append("\(event.message)") } }
  }
}
