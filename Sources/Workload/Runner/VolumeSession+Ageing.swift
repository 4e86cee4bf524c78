// What a volume has been through before a run: files that came and went, so that free space is in pieces; and a cold cache.
internal import Ext2
internal import Reactor

extension VolumeSession {
  /// The directory of what fills an aged volume.
  private static let ageFolder = "aged"

  /// Ages the volume, if the jobs ask for it: fills it with small files to half of what is free beyond the wanted share, and
  /// removes some of them, at random, until so much of its blocks is in use as is wanted. The run's seed decides.
  func age(_ volume: Volume) async throws(RunError) {
    guard let percent = plan.volume?.agePercent else { return }
    var random = SeededGenerator(seed: seed).split(0xA6E)
    do throws(Ext2Error) {
      if try await volume.list("/").contains(Self.ageFolder) {
        throw .badOption("age: the volume has a directory \(Self.ageFolder) already")
      }
      try await volume.makeDirectory("/" + Self.ageFolder)
      var paths: [String] = []
      let high = percent + (100 - percent) / 2
      while await usedPercent(of: volume) < high && !control.isStopRequested {
        try await addAgedFiles(volume, &paths, &random)
      }
      while await usedPercent(of: volume) > percent, !paths.isEmpty, !control.isStopRequested {
        for _ in 0..<min(16, paths.count) {
          paths.swapAt(random.below(paths.count), paths.count - 1)
          try await volume.unlink(paths.removeLast())
        }
        // What is freed may be used, and counts as free, once no write to it is out.
        try await volume.synchronize()
      }
    } catch { throw .volume(error, image: plan.volume?.image) }
  }

  /// Makes some files of 1 to 32 blocks, a directory for each thousand.
  private func addAgedFiles(
    _ volume: Volume, _ paths: inout [String], _ random: inout SeededGenerator
  ) async throws(Ext2Error) {
    let blockSize = await volume.statistics.blockSize
    for _ in 0..<16 {
      let folder = "/\(Self.ageFolder)/\(paths.count / 1000)"
      if paths.count % 1000 == 0 { try await volume.makeDirectory(folder) }
      let path = "\(folder)/\(paths.count)"
      let file = try await volume.open(path, create: true)
      let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: paths.count), count: blockSize * (1 + random.below(32)))
      paths.append(path)
      let written: Int
      do throws(Ext2Error) { written = try await file.write(bytes, at: 0) } catch {
        await file.close()
        throw error
      }
      await file.close()
      if written < bytes.count { return }
    }
  }

  private func usedPercent(of volume: Volume) async -> Int {
    let statistics = await volume.statistics
    return Int((statistics.blockCount - statistics.freeBlockCount) * 100 / max(1, statistics.blockCount))
  }

  /// Mounts the volume anew, if the jobs ask for it, so that nothing of it is in memory, and opens the files again.
  func reopenCold(_ warm: Volume) async throws(RunError) -> Volume {
    guard plan.volume?.startsCold == true else { return warm }
    do { try await warm.unmount() } catch { throw .volume(error, image: plan.volume?.image) }
    let volume = try await mount(isReadOnly: false)
    // What is counted is what this mount does.
    givenBytes = 0
    do throws(Ext2Error) {
      for index in openings.indices {
        for place in openings[index].indices {
          let model = openings[index][place].model
          openings[index][place] = Opening(file: try await volume.open(models[model].name), model: model)
        }
      }
    } catch {
      try? await volume.unmount()
      throw .volume(error, image: plan.volume?.image)
    }
    return volume
  }
}
