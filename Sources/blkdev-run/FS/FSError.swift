internal import BlockDevice
internal import DeviceLayers
internal import Ext2
internal import HostTree

/// Why a verb of `fs` did not do what it was to do.
enum FSError: Error {
  /// The words are wrong: what is wrong, and what would be right.
  case usage(String)
  /// Something failed, at a path.
  case failed(TreeError)
  /// The image cannot be opened.
  case device(DeviceError)
  /// The layers around it cannot be made.
  case layers(StackOptionError)

  /// What the command ends with.
  var exitCode: Int32 {
    switch self {
    case .usage: 2
    case .device, .layers: 1
    case .failed(let error): if case .interrupted = error.cause { 130 } else { 1 }
    }
  }

  /// A failure at a path that is neither the volume's nor this machine's word.
  static func failed(_ path: [UInt8], _ reason: String) -> FSError { .failed(TreeError(path, .unfit(reason))) }

  /// Whether nothing after it makes sense.
  var endsEverything: Bool {
    guard case .failed(let error) = self else { return false }
    switch error.cause {
    case .interrupted, .output, .volume(.closed): return true
    default: return false
    }
  }
}

extension FSError: CustomStringConvertible {
  var description: String {
    switch self {
    case .usage(let text): text
    case .failed(let error): "\(error)"
    case .device(let error): "\(error)"
    case .layers(let error): "\(error)"
    }
  }
}

/// Runs a call on the volume; its error becomes one at a path.
func at<R>(_ path: [UInt8], _ body: () async throws(Ext2Error) -> R) async throws(FSError) -> R {
  do { return try await body() } catch { throw .failed(TreeError(path, .volume(error))) }
}

/// Runs what copies trees.
func copying<R>(_ body: () async throws(TreeError) -> R) async throws(FSError) -> R {
  do { return try await body() } catch { throw .failed(error) }
}
