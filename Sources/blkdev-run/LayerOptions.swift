internal import ArgumentParser
internal import DeviceLayers
internal import Ext2Tools
internal import SystemPackage
internal import Workload

/// The options of `check` and `mkfs` that put layers between the command and the image; `run` and `fs` have the same.
struct LayerOptions: ParsableArguments {
  @Option(help: help(.fault)) var fault: [String] = []
  @Option(help: help(.faultFile)) var faultFile: [String] = []
  @Flag(help: help(.strict)) var strict = false
  @Option(help: help(.volatileCache)) var volatileCache: String?
  @Option(help: help(.latency)) var latency: String?
  @Option(help: help(.deadline)) var deadline: String?
  @Option(help: help(.writeLog)) var writeLog: String?
  @Flag(help: help(.stack)) var stack = false
  @Option(help: "The seed of what the layers draw.") var seed: UInt64 = 1

  private static func help(_ option: StackOption) -> ArgumentHelp {
    ArgumentHelp(stringLiteral: option.help).named(option.valueName)
  }

  /// The parser knows no option whose value may be left out, unless the next word may be it as well.
  static func completed(_ arguments: [String]) -> [String] {
    arguments.map { $0 == "--volatile-cache" ? "--volatile-cache=16m" : $0 }
  }

  /// What they describe. Rules of files are asked after the others.
  func description() throws -> StackDescription {
    var settings = fault.map { StackSetting(.fault, $0) } + faultFile.map { StackSetting(.faultFile, $0) }
    for (option, value) in [
      (.volatileCache, volatileCache), (.latency, latency), (.deadline, deadline), (.writeLog, writeLog),
    ] as [(StackOption, String?)] {
      if let value { settings.append(StackSetting(option, value)) }
    }
    if strict { settings.append(StackSetting(.strict, nil)) }
    if stack { settings.append(StackSetting(.stack, nil)) }
    var description: StackDescription
    do { description = try StackDescription(settings, readText: readText) } catch {
      throw ValidationError("\(error)")
    }
    description.seed = seed
    return description
  }
}

extension ArgumentHelp {
  fileprivate func named(_ valueName: String?) -> ArgumentHelp {
    var help = self
    help.valueName = valueName?.lowercased()
    return help
  }
}

/// The layers of `check` and `mkfs`.
struct LayeredImage {
  private let stack: DeviceStack
  private let path: String

  /// Makes them for an image. Throws `ValidationError` where the write log cannot be made.
  init(_ description: StackDescription, image: String) throws {
    do { stack = try DeviceStack(description) } catch { throw ValidationError("\(error)") }
    path = image
    if stack.needsRegions { stack.regions = namedRegions(ofVolume: image) }
  }

  /// The image through the layers.
  func bytes(_ file: FileBytes, isWritable: Bool) throws -> DeviceBytes {
    try DeviceBytes(file, stack, isWritable: isWritable)
  }

  /// Says what became of them, and leaves the image as they show it. False when that, or a promise, failed.
  func end(isWritable: Bool) -> Bool {
    let report = stack.end()
    for line in (stack.description.isShown ? report.counts : []) + report.lines {
      print("blkdev-run: \(line)", to: .standardError)
    }
    do {
      if isWritable { try stack.settleDamage(onto: path) }
      return !report.hasFailed
    } catch {
      print("blkdev-run: \(error)", to: .standardError)
      return false
    }
  }
}
