package import BlockDevice
package import DeviceLayers
package import Ext2
package import Ext2Tools
internal import SystemPackage

/// Why there is no report: the run could not begin, or could not be brought to its end.
package enum RunError: Error, Sendable {
  /// A program that judges images is not installed.
  case missingTool(String)
  /// Such a program failed to do its work.
  case toolFailed(String, exitCode: Int32, output: String)
  /// A file that the run makes for itself could not be made, read or written: which step, and the errno.
  case file(path: String, step: String, errno: Int32)
  /// The scratch image could not be made.
  case scratchImage(DeviceError)
  /// No volume could be made on the scratch image: it is too small, or a write failed.
  case scratchVolume(MakeError)
  /// The device could not be opened, or failed while an image was loaded or fetched.
  case device(DeviceError)
  /// The volume could not be mounted, or its files not be opened or laid out. `image` is the user's, or nil.
  case volume(Ext2Error, image: String?)
  /// The layers around a device could not be made.
  case layers(StackOptionError)
  /// A log cannot be replayed, or not be written.
  case trace(TraceError)
  /// A job does not fit the device: its block size, or its size.
  case unfit(job: String, reason: String)
  /// Nothing could move any more, in simulation: what each task waited for.
  case deadlock(String)

  /// What the command ends with.
  package var exitCode: ExitCode {
    switch self {
    case .missingTool, .toolFailed, .file, .scratchImage, .scratchVolume(.bytes): .environment
    case .device, .layers, .trace, .unfit, .volume, .scratchVolume: .jobError
    case .deadlock: .invariantFailed
    }
  }
}

extension RunError {
  /// The same error for a file that a job names: that it cannot be read says nothing about the machine.
  var ofNamedFile: RunError {
    guard case .file(let path, let step, let errno) = self else { return self }
    return .device(.cannotOpen(path: path, step: step, Errno(rawValue: errno)))
  }
}

extension RunError: CustomStringConvertible {
  /// What happened, with the path or the line to type where there is one.
  package var description: String {
    switch self {
    case .missingTool(let name): "\(name) is not installed; type: sudo apt-get install -y e2fsprogs"
    case .toolFailed(let name, let exitCode, let output): "\(name) ended with \(exitCode): \(output)"
    case .file(let path, let step, let errno): "\(path): \(step): \(Errno(rawValue: errno))"
    case .scratchImage(let error): "the scratch image: \(error)"
    case .scratchVolume(let error): "the scratch image: \(error)"
    case .device(let error): "\(error)"
    case .layers(let error): "\(error)"
    case .trace(let error): "\(error)"
    case .volume(let error, let image): "\(image ?? "the scratch image"): \(error)"
    case .unfit(let job, let reason): "job \(job): \(reason)"
    case .deadlock(let waits): waits
    }
  }
}
