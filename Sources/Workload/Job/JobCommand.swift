internal import DeviceLayers
internal import Ext2
internal import PageCache

extension WorkloadPlan {
  /// The arguments that offer the same load again: every job with all that differs from a default, and its seed.
  ///
  /// Reading them gives the same jobs, whatever became of the job file. Where the report goes, and whether the image is
  /// kept, is no part of the load.
  package var arguments: [String] {
    (options.ignoresCookie ? ["--\(RunOptions.Flag.unsafeIgnoreCookie.rawValue)"] : []) + options.stack.arguments
      + jobs.flatMap(\.arguments)
  }

  /// The command to type, quoted for a shell.
  package var commandLine: String { shellCommand(arguments) }
}

extension Job {
  /// The arguments that describe this job, beginning with `--name`.
  package var arguments: [String] {
    JobOption.all.compactMap { option in
      guard let text = text(of: option.name), text != option.defaultText else { return nil }
      let flag = "--\(option.name.rawValue)"
      return option.kind == .boolean && text == "1" ? flag : "\(flag)=\(text)"
    }
  }

  /// The command that runs this job alone, quoted for a shell.
  package var commandLine: String { shellCommand(arguments) }

  /// The value of an option as a user would write it; nil when the job has none, or when it follows from others.
  package func text(of option: JobOption.Name) -> String? {
    switch option {
    case .name: name
    case .target: target.rawValue
    case .filename: namedFiles.isEmpty ? nil : namesText(namedFiles)
    case .rw: mix == nil ? pattern.rawValue : nil
    case .fileOperations: mix?.text
    case .blockSize: bytesText(UInt64(blockSize))
    case .size: size.map(bytesText)
    case .runtime: durationText(runtimeNanoseconds ?? 0)
    case .timeBased: flagText(isTimeBased)
    case .depth: "\(depth)"
    case .copies: "\(copies)"
    case .engine: engine.rawValue
    case .direct: flagText(isDirect)
    case .randomSeed: randomSeed.map { "\($0)" }
    case .noRandomMap: flagText(offsetsMayRepeat)
    case .fsync: "\(fsyncEvery)"
    case .fdatasync: "\(fdatasyncEvery)"
    case .endFsync: flagText(fsyncsAtEnd)
    case .groupReporting: flagText(reportsAsGroup)
    case .queueDepth: "\(queueDepth)"
    default: volume?.text(of: option)
    }
  }
}

extension VolumeOptions {
  fileprivate func text(of option: JobOption.Name) -> String? {
    switch option {
    case .image: return image
    case .imageSize: return imageBytes.map(bytesText)
    case .writeback: return writeback.rawValue
    case .frees: return frees.rawValue
    case .allocation: return allocation.rawValue
    case .cacheSize: return bytesText(cacheBytes)
    case .dirtyLimit:
      return dirtyLimitBytes == Self.defaultDirtyLimit(cacheBytes: cacheBytes) ? nil : bytesText(dirtyLimitBytes)
    case .dirtyBackground:
      let usual = Self.defaultDirtyBackground(dirtyLimitBytes: dirtyLimitBytes)
      return dirtyBackgroundBytes == usual ? nil : bytesText(dirtyBackgroundBytes)
    case .writebackBatch: return bytesText(UInt64(batchBytes))
    case .failedPages: return failedPages.rawValue
    default: return nil
    }
  }
}

private func flagText(_ on: Bool) -> String { on ? "1" : "0" }

/// Bytes with the largest suffix that loses nothing.
func bytesText(_ bytes: UInt64) -> String {
  for (shift, suffix) in [(40, "t"), (30, "g"), (20, "m"), (10, "k")] as [(UInt64, String)]
  where bytes != 0 && bytes.isMultiple(of: 1 << shift) {
    return "\(bytes >> shift)\(suffix)"
  }
  return "\(bytes)"
}

/// Nanoseconds as `runtime` takes them, which has no unit below a microsecond and needs none for seconds.
private func durationText(_ nanoseconds: UInt64) -> String {
  if nanoseconds.isMultiple(of: 1_000_000_000) { return "\(nanoseconds / 1_000_000_000)" }
  if nanoseconds.isMultiple(of: 1_000_000) { return "\(nanoseconds / 1_000_000)ms" }
  return "\(nanoseconds / 1_000)us"
}

private func shellCommand(_ arguments: [String]) -> String {
  (["blkdev-run"] + arguments.map(shellQuoted)).joined(separator: " ")
}

/// One word of a shell command. What a shell might read otherwise goes between single quotes.
func shellQuoted(_ word: String) -> String {
  let isPlain =
    !word.isEmpty
    && word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "-_=./:,+@%".utf8.contains(byte)
      }
    }
  if isPlain { return word }
  var quoted = "'"
  for character in word.unicodeScalars {
    if character == "'" { quoted += #"'\''"# } else { quoted.unicodeScalars.append(character) }
  }
  return quoted + "'"
}
