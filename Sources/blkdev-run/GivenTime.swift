internal import ArgumentParser
internal import CLinux
internal import Glibc

/// The time that the environment sets instead of the clock's, as for e2fsprogs.
enum GivenTime {
  /// The seconds since 1970 in the first variable that has some; nil where none has.
  static func seconds() throws(ValidationError) -> Int64? {
    for name in ["E2FSPROGS_FAKE_TIME", "SOURCE_DATE_EPOCH"] {
      guard let text = unsafe getenv(name).map({ unsafe String(cString: $0) }), !text.isEmpty else { continue }
      guard let seconds = Int64(text), (0...Int64(UInt32.max)).contains(seconds) else {
        throw ValidationError("\(name): '\(text)': must be 0 to \(UInt32.max) seconds since 1970")
      }
      return seconds
    }
    return nil
  }

  /// The same, or what the clock says.
  static func secondsOrNow() throws(ValidationError) -> Int64 {
    try seconds() ?? Int64(cl_calendar_ns() / 1_000_000_000)
  }
}
