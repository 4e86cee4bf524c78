/// Why a volume cannot be made.
public enum MakeError: Error, Equatable, Sendable {
  /// No feature with this name can be given to a volume.
  case unknownFeature(String)
  /// What was asked for is not possible: which option, by its long name, and why.
  case invalid(option: String, why: String)
  /// The volume's blocks do not hold its own structure.
  case tooSmall(byteCount: UInt64, blockSize: Int)
  /// A transfer failed. The volume is not complete.
  case bytes(VolumeBytesError)
  /// The caller wanted no more. The volume is not complete.
  case stopped
}

extension MakeError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unknownFeature(let name):
      "features: no feature '\(name)' can be made; there are: \(FeatureSet.knownNames.joined(separator: ", "))"
    case .invalid(let option, let why): "\(option): \(why)"
    case .tooSmall(let byteCount, let blockSize):
      "size: \(byteCount) bytes are too few for a volume with blocks of \(blockSize) bytes"
    case .bytes(let error): "\(error)"
    case .stopped: "stopped before the volume was complete"
    }
  }
}
